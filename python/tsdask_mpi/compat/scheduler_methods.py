"""The methods of a distributed.Scheduler that are replaced in the one object of its process.

Relies on distributed/scheduler.py: Scheduler.coerce_address() looks up whoever is named in a call;
Scheduler.close(reason=…) is what ends it, also for the RPC `terminate` (whose entry in Scheduler.handlers is the bound
method) and the idle timeout, which Scheduler.periodic_callbacks["idle-timeout"] looks for, and which it says again with
each look until the scheduler closes. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tsdask_mpi.compat import close_reasons
from tsdask_mpi.compat.names import lacking
from tsdask_mpi.contract import CloseReason


def probe() -> str | None:
    """Say what is missing."""
    from distributed import Scheduler

    return lacking("distributed.Scheduler", Scheduler, "coerce_address", "close")


def translate_names(scheduler: Any, translate: Callable[[Any], Any]) -> None:
    """Have `translate` say who is meant wherever a worker is named."""
    coerce_address = scheduler.coerce_address

    def translated(worker: Any, *args: Any, **kwargs: Any) -> Any:
        return coerce_address(translate(worker), *args, **kwargs)

    scheduler.coerce_address = translated


def before_closing(
    scheduler: Any, note: Callable[[CloseReason], None], last_look: Callable[[], Awaitable[None]]
) -> None:
    """
    Call `note` with the reason as soon as anything begins to close the scheduler; when a client or idleness does,
    `last_look` comes first.
    """
    close = scheduler.close

    async def closed(*args: Any, **kwargs: Any) -> None:
        reason = close_reasons.of_scheduler(kwargs.get("reason"), bool(scheduler.idle_timeout))
        if reason == "idle":
            idle = scheduler.periodic_callbacks.get("idle-timeout")
            if idle is not None:
                idle.stop()
            await last_look()
        note(reason)
        await close(*args, **kwargs)

    async def terminated(*args: Any, **kwargs: Any) -> None:
        await last_look()
        note("terminate")
        await close(*args, **kwargs)

    scheduler.close = closed
    scheduler.handlers["terminate"] = terminated
