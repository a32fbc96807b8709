"""What a worker takes for its own memory.

Relies on:
- distributed/system_monitor.py SystemMonitor.get_process_memory(): resident bytes. The worker's memory manager
  (worker_memory.py) and its heartbeats ask it, several times a second. Seen: 2022.12 to 2026.8.

A forked worker's resident memory is mostly the fork server's, which all workers of a host share: counted in each of
them, a hundred workers seem to use gigabytes that nobody does, and are paused and ended for them. Linux tells each
process' part: proc(5), smaps_rollup, `Pss`, from 4.14 on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tsdask_mpi.compat.names import lacking

#: To read smaps_rollup walks all pages, about a millisecond for each 60 MiB: done so often (seconds), and sooner near a
#: limit.
MEASURE_SECONDS = 10.0
NEAR_SECONDS = 1.0
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


def shared_part(path: str = "/proc/self/smaps_rollup") -> int:
    """Return how many resident bytes of this process are other processes' part; 0 where the system does not tell."""
    sizes = {}
    try:
        with open(path, encoding="ascii") as lines:
            for line in lines:
                name, _, rest = line.partition(":")
                if name in ("Rss", "Pss"):
                    sizes[name] = int(rest.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return 0
    return max(0, sizes.get("Rss", 0) - sizes.get("Pss", 0))


class OwnMemory:
    """Tells a process' own part of its resident memory, in bytes.

    Between two measurements, growth of the resident memory counts in full; pages that were shared and have been written
    to since do not.
    """

    def __init__(
        self,
        resident: Callable[[], int],
        limit: int,
        shared: Callable[[], int] = shared_part,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resident = resident
        self._near = NEAR * limit
        self._measure = shared
        self._clock = clock
        self._shared = 0
        self._measured: float | None = None

    def __call__(self) -> int:
        """Return the bytes."""
        resident = self._resident()
        own = resident - self._shared
        now = self._clock()
        patience = NEAR_SECONDS if self._near and own >= self._near else MEASURE_SECONDS
        if self._measured is None or now - self._measured >= patience:
            self._shared = self._measure()
            self._measured = now
            own = resident - self._shared
        return max(0, own)
