"""What `tsdask-mpi status` and `tsdask-mpi stop` ask a scheduler for, over its own RPC: only holders of the cluster's credentials reach it.

Facts relied on (distributed/scheduler.py, distributed/core.py):
- `Scheduler.handlers` maps the names of operations to functions; keyword arguments come from the message.
- `Scheduler.task_prefixes` holds a prefix's tasks by state: `states` since 2023.3, `active_states` before, which leaves finished groups out.
- `Scheduler.transition_counter` goes up with each change of a task's state; `WorkerState.processing` holds the tasks of a worker.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

from tsdask_mpi.channel import Channel
from tsdask_mpi.wire import Message

LOOK_SECONDS = 5.0


class Idle:
    """How long there has been no work, and what that cost: seconds of the workers' threads that nothing ran on."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._transitions = -1
        self._looked = time.time()
        self.since: float | None = self._looked
        self.thread_seconds = 0.0

    def look(self) -> None:
        """Take account of the time since the last look."""
        now = time.time()
        workers = list(self._scheduler.workers.values())
        busy = sum(min(worker.nthreads, len(worker.processing)) for worker in workers)
        threads = sum(worker.nthreads for worker in workers)
        self.thread_seconds += (threads - busy) * (now - self._looked)
        transitions = getattr(self._scheduler, "transition_counter", 0)
        if busy > 0 or transitions != self._transitions:
            self.since = None if busy > 0 else now
        self._transitions = transitions
        self._looked = now


def answer(scheduler: Any, channel: Channel) -> None:
    """Have the scheduler answer `tsdask_status` and `tsdask_stop`."""
    idle = Idle(scheduler)

    def status() -> Message:
        idle.look()
        return {
            "tasks": task_counts(scheduler),
            "finished": finished(scheduler),
            "idle_since": idle.since,
            "idle_thread_seconds": idle.thread_seconds,
        }

    def stop(now: bool = False) -> Message:
        channel.send({"event": "stop-asked", "now": bool(now)})
        return {"status": "OK"}

    scheduler.handlers["tsdask_status"] = status
    scheduler.handlers["tsdask_stop"] = stop
    loop = asyncio.get_running_loop()

    def look() -> None:
        idle.look()
        loop.call_later(LOOK_SECONDS, look)

    loop.call_later(LOOK_SECONDS, look)


def finished(scheduler: Any) -> int:
    """Return how many times a task's result was made or moved into memory since the start."""
    return sum(int(prefix.state_counts["memory"]) for prefix in scheduler.task_prefixes.values())


def task_counts(scheduler: Any) -> dict[str, int]:
    """Return how many tasks are in each state; those that were released are not known to the scheduler any more."""
    counts: Counter[str] = Counter()
    for prefix in scheduler.task_prefixes.values():
        states = getattr(prefix, "states", None)
        counts.update(states if states is not None else prefix.active_states)
    return {str(state): int(number) for state, number in counts.items() if number > 0}
