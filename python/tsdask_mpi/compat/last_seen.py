"""When Dask's scheduler has last heard of each worker, by its clock.

A batch system that suspends a job stops all of its processes, and the clock goes on: as soon as they run again the
scheduler would remove every worker that could not have told of itself for `worker-ttl`, and all results with it.

Relies on:
- distributed/scheduler.py: WorkerState.last_seen, seconds of distributed.metrics.time, which Scheduler.check_worker_ttl
  compares with now. Seen: 2022.12 to 2026.8.
- asyncio runs callbacks that are due at the same moment in the order of their times (`BaseEventLoop._run_once`), so
  that this one, due every second, comes before that check, which is a task's first step besides.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tsdask_mpi.compat.names import written_in

# Seconds between two looks at the clock, and the least time missed that counts.
EVERY = 1.0
MISSED = 5.0


def probe() -> str | None:
    """Say what is missing."""
    from distributed import Scheduler

    written = written_in(getattr(Scheduler, "check_worker_ttl", None))
    return None if "last_seen" in written else "last_seen in distributed.scheduler.Scheduler.check_worker_ttl"


def excuse_missed_time(scheduler: Any) -> None:
    """Do not count the time during which this process did not run as the workers' silence; from now on."""
    from distributed.metrics import time

    loop = asyncio.get_running_loop()
    before = time()

    def look() -> None:
        nonlocal before
        missed = time() - before - EVERY
        if missed > MISSED:
            for worker in scheduler.workers.values():
                # One whose word was waiting when the process was stopped has been heard since.
                worker.last_seen = min(worker.last_seen + missed, time())
        before = time()
        loop.call_later(EVERY, look)

    loop.call_later(EVERY, look)
