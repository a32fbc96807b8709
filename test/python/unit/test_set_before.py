"""What a script has set of Dask's configuration before initialize()."""

import pytest

pytest.importorskip("dask")

import dask.config
from tsdask_mpi.set_before import variables


def test_what_was_set_reaches_the_launch_as_variables() -> None:
    assert variables() == {}
    changed = {
        "temporary-directory": "/scratch/me",
        "distributed.worker.memory.spill": False,
        "distributed.worker.resources": {"GPU": 2},
        "own.function": print,
    }
    with dask.config.set(changed):
        told = variables()
    assert told == {
        "DASK_TEMPORARY_DIRECTORY": "'/scratch/me'",
        "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
    }


def test_dask_reads_them_back() -> None:
    with dask.config.set(
        {"distributed.scheduler.allowed-failures": 77, "temporary_directory": "/x y", "own.list": [1, "a"]}
    ):
        told = variables()
    read = dask.config.collect_env(told)
    config: dict[str, object] = {"temporary-directory": None, "distributed": {"scheduler": {"allowed-failures": 3}}}
    dask.config.update(config, read, priority="new")
    assert dask.config.get("distributed.scheduler.allowed-failures", config=config) == 77
    assert dask.config.get("temporary-directory", config=config) == "/x y"
    assert dask.config.get("own.list", config=config) == [1, "a"]
