"""What Dask's scheduler knows of clients and of spilled bytes.

Relies on:
- distributed/worker.py Worker._get_client(): `get_client` in a task makes a client named "worker", whose id begins with
  `Client-worker-`.
- distributed/scheduler.py: Scheduler.cumulative_worker_metrics (from 2023.5) sums (…, "disk-write", "bytes") of all
  heartbeats; before it, a worker's `metrics["spilled_bytes"]` has under "disk" what lies there at the moment. Seen:
  2022.12 to 2026.8.
"""

from __future__ import annotations

from typing import Any

from tsdask_mpi.compat.names import written_in

WORKERS_OWN = "Client-worker-"


def probe() -> str | None:
    """Say what is missing."""
    from distributed import Worker

    written = written_in(getattr(Worker, "_get_client", None))
    return None if "worker" in written else "the client named 'worker' in distributed.worker.Worker._get_client"


def is_of_task(client: object) -> bool:
    """Tell whether a task has made the client of this id."""
    return str(client).startswith(WORKERS_OWN)


def sums_metrics(scheduler: Any) -> bool:
    """Tell whether the scheduler itself counts what was written."""
    return hasattr(scheduler, "cumulative_worker_metrics")


def written_bytes(scheduler: Any) -> float:
    """Return how many bytes were spilled so far; 0 where the scheduler does not count them."""
    metrics = getattr(scheduler, "cumulative_worker_metrics", {})
    return sum(
        float(amount)
        for name, amount in metrics.items()
        if isinstance(name, tuple) and name[-2:] == ("disk-write", "bytes")
    )


def bytes_on_disk(scheduler: Any) -> int:
    """Return how many bytes lie on the workers' disks, by their last heartbeats."""
    spilled = (worker.metrics.get("spilled_bytes") for worker in scheduler.workers.values())
    return sum(where.get("disk", 0) for where in spilled if isinstance(where, dict))
