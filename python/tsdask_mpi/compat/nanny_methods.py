"""The methods of distributed.Worker that let it answer for its nanny (nanny_shim.py has the why).

Relies on: distributed/worker.py Worker._register_with_scheduler() sends Worker.nanny; Worker.close() asks that nanny to
close, if there is one; Worker.batched_stream carries what the scheduler is told; Worker.handlers and .stream_handlers
are the tables of its operations. distributed/core.py handle_stream() awaits a handler only when it is a coroutine
function. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tsdask_mpi.compat.names import lacking


def probe() -> str | None:
    """Say what is missing."""
    from distributed.worker import Worker

    return lacking("distributed.worker.Worker", Worker, "_register_with_scheduler", "close", "heartbeat")


def register_as(worker: Any, nanny: Callable[[], str]) -> None:
    """Have a worker register with that address as its nanny's, and forget it again."""
    register: Callable[[], Awaitable[Any]] = worker._register_with_scheduler

    async def with_nanny() -> None:
        worker.nanny = nanny()
        try:
            await register()
        finally:
            worker.nanny = None

    worker._register_with_scheduler = with_nanny


def replace_method(worker: Any, name: str, function: Any) -> None:
    """Put a function in a method's place, also where the tables of handlers hold the method."""
    method = getattr(worker, name)
    setattr(worker, name, function)
    for table in (worker.handlers, worker.stream_handlers):
        for key in [key for key, handler in table.items() if handler == method]:
            table[key] = function


def work_folder(server: Any) -> str | None:
    """Return the folder that a worker or scheduler makes for itself (`_workdir`), where it has one."""
    folder: str | None = getattr(getattr(server, "_workdir", None), "dir_path", None)
    return folder
