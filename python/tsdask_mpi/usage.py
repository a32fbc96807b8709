"""
Counts what the cluster was used for, on the scheduler: clients, tasks, the workers that ran them, and what was spilled.

Facts relied on (distributed/diagnostics/plugin.py):
- A plugin's `transition` is called for each change of a task's state; a task that was run goes from processing to
  memory or erred, with the address of its worker as the keyword `worker`; one that no worker there can run goes to
  no-worker. `Scheduler.tasks` has each with its `resource_restrictions`, `worker_restrictions` and `host_restrictions`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from tsdask_mpi.channel import Channel
from tsdask_mpi.compat import usage_figures
from tsdask_mpi.contract import ChildEvent

LOOK_SECONDS = 2.0


class Usage(SchedulerPlugin):
    """What was counted so far. `transition` is called for every task several times: it does next to nothing."""

    name = "tsdask-usage"

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._ran: defaultdict[str, int] = defaultdict(int)
        self._names: dict[str, Any] = {}
        self._clients = 0
        self._most_on_disk = 0
        #: Keys of tasks that wait for a worker as they ask for, and have been given to none.
        self._unrunnable: set[Any] = set()

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if start == "processing" and (finish == "memory" or finish == "erred"):
            self._ran[kwargs.get("worker") or ""] += 1
        elif finish == "processing":
            self._unrunnable.discard(key)
        elif finish == "no-worker":
            task = self._scheduler.tasks.get(key)
            if task is not None and (task.resource_restrictions or task.worker_restrictions or task.host_restrictions):
                self._unrunnable.add(key)

    def add_worker(self, scheduler: Any, worker: str) -> None:
        self._names[worker] = scheduler.workers[worker].name

    def add_client(self, scheduler: Any, client: str) -> None:
        if not usage_figures.is_of_task(client):
            self._clients += 1

    def look_at_disks(self) -> None:
        """Note how much lies on the workers' disks now, by their last heartbeats."""
        self._most_on_disk = max(self._most_on_disk, usage_figures.bytes_on_disk(self._scheduler))

    def message(self) -> ChildEvent:
        """Return the event for the rank; a worker that was started again counts once, by its name."""
        self.look_at_disks()
        return {
            "event": "usage",
            "clients": self._clients,
            "tasks": sum(self._ran.values()),
            "used": len({self._names.get(address, address) for address in self._ran if address}),
            "seen": len(set(self._names.values())),
            "spilled": int(max(usage_figures.written_bytes(self._scheduler), self._most_on_disk)),
            "unrunnable": len(self._unrunnable),
        }


def watch(scheduler: Any, channel: Channel) -> Callable[[], None]:
    """Begin to count; returns what tells the rank, once, and is called when the scheduler is about to close."""
    usage = Usage(scheduler)
    scheduler.add_plugin(usage, name=Usage.name, idempotent=True)
    loop = asyncio.get_running_loop()
    timer: list[asyncio.TimerHandle] = []

    def look() -> None:
        usage.look_at_disks()
        timer[:] = [loop.call_later(LOOK_SECONDS, look)]

    if not usage_figures.sums_metrics(scheduler):
        look()
    told: list[bool] = []

    def tell() -> None:
        if told:
            return
        told.append(True)
        for handle in timer:
            handle.cancel()
        channel.send(usage.message())

    return tell
