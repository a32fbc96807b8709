"""
Has a worker answer for its nanny: the rank that starts it anew is no Dask server, and Dask asks for one before it
restarts a worker.

Facts relied on:
- distributed/client.py restart_workers() refuses workers that registered without a nanny. Old versions then send the op
  `restart` to the nanny's address, new ones have distributed/scheduler.py restart_workers() send `kill`, as
  Scheduler.restart() does.
- `kill` is to return nothing, and `restart` "OK", once the scheduler has lost the worker (distributed/nanny.py
  Nanny.kill, .restart).
- distributed/scheduler.py remove_worker() of old versions closes all pooled connections to the worker's address, so
  that the answer to `restart` would be lost; the pool (distributed/core.py ConnectionPool) tells addresses apart by how
  they are written.
- distributed/scheduler.py register_nanny_plugin() sends `plugin_add` to every nanny.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tsdask_mpi.compat import nanny_methods
from tsdask_mpi.contract import NANNY_REPLY_SECONDS


def written_otherwise(address: str) -> str:
    """Return an address that leads to the same place and is not the same text: its port has a leading zero."""
    place, colon, port = address.rpartition(":")
    return f"{place}:0{port}" if colon and port.isdigit() else address


def answer_for_nanny(worker: Any, restarting: Callable[[], None]) -> None:
    """Let a distributed.Worker register with its own address as its nanny's; `restarting` is called before it goes."""

    async def leave() -> None:
        restarting()
        await worker.batched_stream.close()
        asyncio.get_running_loop().call_later(
            NANNY_REPLY_SECONDS, lambda: asyncio.ensure_future(worker.close(nanny=False, executor_wait=False))
        )

    async def kill(**_: Any) -> None:
        await leave()

    async def restart(**_: Any) -> str:
        await leave()
        return "OK"

    async def plugin(**_: Any) -> None:
        raise RuntimeError(
            "this worker has no Nanny of Dask's own to take a nanny plugin: start the cluster with --nanny"
        )

    nanny_methods.register_as(worker, lambda: written_otherwise(worker.contact_address or worker.address))
    worker.handlers.update({"kill": kill, "restart": restart, "plugin_add": plugin, "plugin_remove": plugin})
