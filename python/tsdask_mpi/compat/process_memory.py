"""What a worker takes for its own memory.

Relies on:
- distributed/system_monitor.py SystemMonitor.get_process_memory(): resident bytes. The worker's memory manager
  (worker_memory.py) and its heartbeats ask it, several times a second. Seen: 2022.12 to 2026.8.

A forked worker's resident memory is mostly the fork server's, which all workers of a host share: counted in each of
them, a hundred workers seem to use gigabytes that nobody does, and are paused and ended for them. Linux tells each
process' part: proc(5), smaps_rollup, `Pss`, from 4.14 on, and from 5.4 on `Pss_Anon` of it for memory that is no
file's (`Anonymous`). `Shared_Clean` and `Shared_Dirty` are all of the pages that others have a part in.

What a task forks shares all that the worker has, too, and would hide it: of memory that is no file's, no more is taken
off than the worker had when it was ready, before any task ran. Files that several workers map, and shared memory, count
for each as its part.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from tsdask_mpi.compat.names import lacking

#: To read smaps_rollup walks all pages, a millisecond for each 30 to 60 MiB, in which the event loop stands still: done
#: so often (seconds), and sooner near a limit, but for no more than this part of the time.
MEASURE_SECONDS = 10.0
NEAR_SECONDS = 1.0
MOST_OF_TIME = 0.01
#: distributed.yaml's lowest threshold (`worker.memory.target`) is 0.6 of the limit.
NEAR = 0.5


def probe() -> str | None:
    """Say what is missing."""
    import distributed.system_monitor

    return lacking("SystemMonitor", distributed.system_monitor.SystemMonitor, "get_process_memory")


def count_own(worker: Any) -> None:
    """
    Have a worker that has not started count its own part of shared memory; one that runs in a Nanny's process is left
    alone.
    """
    monitor = getattr(worker, "monitor", None)
    resident = getattr(monitor, "get_process_memory", None)
    if monitor is None or resident is None:
        return
    limit = getattr(getattr(worker, "memory_manager", None), "memory_limit", None)
    monitor.get_process_memory = OwnMemory(resident, limit or 0)


def settle(worker: Any) -> int | None:
    """
    Have a worker that is ready count whatever memory its tasks share beyond what it has now, but for files; return what
    it has, in bytes, or None for one that counts otherwise.
    """
    own = getattr(getattr(worker, "monitor", None), "get_process_memory", None)
    return own.settle() if isinstance(own, OwnMemory) else None


class Shared(NamedTuple):
    """
    Other processes' part of a process' resident memory, in bytes: of what is no file's, which only a fork shares; of
    files and shared memory; and the most that the first could be of what the process has now.
    """

    forked: int
    mapped: int
    most: int


def shared_memory(path: str = "/proc/self/smaps_rollup") -> Shared:
    """Return what this process shares; nothing where the system does not tell."""
    sizes = dict.fromkeys(("Rss", "Pss", "Shared_Clean", "Shared_Dirty", "Anonymous"), 0)
    sizes["Pss_Anon"] = -1
    try:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                name, _, rest = line.partition(":")
                if name in sizes:
                    sizes[name] = int(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return Shared(0, 0, 0)
    part = max(0, sizes["Rss"] - sizes["Pss"])
    if sizes["Pss_Anon"] < 0:
        return Shared(part, 0, sizes["Shared_Clean"] + sizes["Shared_Dirty"])
    forked = min(part, max(0, sizes["Anonymous"] - sizes["Pss_Anon"]))
    return Shared(forked, part - forked, sizes["Anonymous"])


class OwnMemory:
    """Tells a process' own part of its resident memory, in bytes.

    Between two measurements, growth of the resident memory counts in full; pages that were shared and have been written
    to since do not.
    """

    def __init__(
        self,
        resident: Callable[[], int],
        limit: int,
        shared: Callable[[], Shared] = shared_memory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resident = resident
        self._near = NEAR * limit
        self._measure = shared
        self._clock = clock
        self._shared = 0
        self._most: float = math.inf
        self._measured: float | None = None
        self._took = 0.0

    def __call__(self) -> int:
        """Return the bytes."""
        resident = self._resident()
        own = resident - self._shared
        now = self._clock()
        patience = NEAR_SECONDS if self._near and own >= self._near else MEASURE_SECONDS
        if self._measured is None or now - self._measured >= max(patience, self._took / MOST_OF_TIME):
            self._look()
            own = resident - self._shared
        return max(0, own)

    def settle(self) -> int:
        """Take off no more from now on, files aside, than what could be shared now, which is returned."""
        self._most = most = self._look().most
        return most

    def _look(self) -> Shared:
        began = self._clock()
        shared = self._measure()
        self._shared = int(min(shared.forked, self._most)) + shared.mapped
        self._measured = self._clock()
        self._took = self._measured - began
        return shared
