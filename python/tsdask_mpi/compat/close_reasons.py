"""Dask's words for why a worker or a scheduler closes.

Relies on (distributed/worker.py, distributed/scheduler.py, distributed/nanny.py): `reason` of Worker.close and
Scheduler.close, from 2023.1 on; older versions name none. A worker that is to come back after its lifetime (Worker's
lifetime_restart) closes for the same reason as one that is not, and leaves its nanny alone: `nanny=False`. Seen:
2022.12 to 2026.8.
"""

from __future__ import annotations

from typing import Any

from tsdask_mpi.compat.names import lacking
from tsdask_mpi.contract import CloseReason

LIFETIME = "worker-lifetime-reached"
#: No word of Dask's: its lifetime is over, and another one is to take its place.
LIFETIME_RESTART = "worker-lifetime-restart"
REASONS: dict[str, CloseReason] = {
    "scheduler-close": "scheduler-closed",
    "worker-close": "closed",
    "scheduler-close-worker": "retired",
    "scheduler-remove-worker": "restart",
    "worker-handle-scheduler-connection-broken": "scheduler-lost",
    "worker-heartbeat-missing": "restart",
    "worker-heartbeat-error": "scheduler-lost",
    LIFETIME: "lifetime",
    "nanny-kill": "restart",
}
#: What a rank is told of a reason that is not in the table: the worker has closed, by itself.
UNKNOWN: CloseReason = "closed"
IDLE = "idle-timeout-exceeded"
ENDED_WITH_SCHEDULER: tuple[CloseReason, ...] = ("scheduler-closed", "scheduler-lost")


def probe() -> str | None:
    """Say what is missing."""
    from distributed import Scheduler, Worker

    return lacking("distributed.Worker", Worker, "close") or lacking("distributed.Scheduler", Scheduler, "close")


def reason_of(reason: str, was_retired: bool) -> CloseReason:
    """
    Translate Dask's reason for closing into the word that the rank acts on; a reason that no release had so far is a
    plain close.
    """
    # One whose lifetime is over has retired itself.
    if reason == LIFETIME_RESTART:
        return "restart"
    word = REASONS.get(reason, UNKNOWN)
    return "retired" if word == "restart" and was_retired else word


def given_reason(kwargs: dict[str, Any]) -> str:
    """Return the reason in a call of Worker.close, as new versions of Dask would give it, or LIFETIME_RESTART."""
    comes_back = kwargs.get("nanny") is False
    reason = str(kwargs.get("reason") or ("worker-heartbeat-missing" if comes_back else "worker-close"))
    return LIFETIME_RESTART if comes_back and reason == LIFETIME else reason


def of_scheduler(reason: object, has_idle_timeout: bool) -> CloseReason:
    """
    Translate the reason that a scheduler closes for; old releases give none, and then one that may get idle is taken
    for idle.
    """
    if reason == IDLE or (not reason and has_idle_timeout):
        return "idle"
    return "stop" if reason == "stop" else UNKNOWN
