"""The cluster of a plain Client()."""

import asyncio

import pytest

distributed = pytest.importorskip("distributed")


def test_that_of_an_asynchronous_client_follows_the_workers_until_the_client_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")  # read where the module is loaded
    from tsdask_mpi.adopt.tsdask_adopt import handle

    monkeypatch.setattr("tsdask_mpi.compat.cluster_objects.REFRESH", 50)

    async def play() -> None:
        async with (
            distributed.Scheduler(port=0, dashboard=False) as scheduler,
            distributed.Worker(scheduler.address, name="one", dashboard=False),
            distributed.Worker(scheduler.address, name="two", dashboard=False),
        ):
            async with distributed.Client(scheduler.address, asynchronous=True) as client:
                cluster = handle.LaunchCluster(client)
                for _ in range(100):
                    if len(cluster.workers) == 2:
                        break
                    await asyncio.sleep(0.05)
                assert set(cluster.workers) == {"one", "two"}
            for _ in range(100):
                if not cluster.periodic_callbacks["launch"].is_running():
                    break
                await asyncio.sleep(0.05)
            assert not cluster.periodic_callbacks["launch"].is_running()

    asyncio.run(play())
