"""
What `tsdask-mpi scale` and `adapt` ask of the scheduler, over its own RPC: time-outs for more workers, and how many of
a group the work asks for.

Facts relied on (distributed/scheduler.py):
- `unrunnable` holds the tasks that no worker there can run, `queued` those that wait for a free thread,
  `WorkerState.processing` those that a worker was given.
- `WorkerState.executing` is how long (seconds) each task that runs has run, by the last heartbeat.
- `TaskState.resource_restrictions` and `WorkerState.resources` map a resource's name to an amount;
  `TaskPrefix.duration_average` is in seconds, negative while no task of that name has ended.
- `Scheduler.check_worker_ttl` reads `worker_ttl` (seconds) anew each time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from tsdask_mpi.compat import derived_settings
from tsdask_mpi.wire import Message

#: Of the tasks that one worker was given, or that are queued, so many are looked at; the others are taken to be like
#: them.
SAMPLE = 1000
#: Data beyond this part of a group's memory asks for more workers, as in Dask's own `adaptive_target`.
FULL = 0.6

Resources = Mapping[str, float]


def answer(scheduler: Any) -> None:
    """Have the scheduler answer `tsdask_expect` and `tsdask_wanted`."""

    def expect(settings: dict[str, Any]) -> Message:
        derived_settings.take(settings)
        if scheduler.worker_ttl:
            scheduler.worker_ttl = _configured("distributed.scheduler.worker-ttl")
        return {"status": "OK"}

    def wanted_workers(group: int | None, groups: list[Resources], target_duration: float | None = None) -> int:
        return wanted(scheduler, group, groups, target_duration or _configured("distributed.adaptive.target-duration"))

    scheduler.handlers["tsdask_expect"] = expect
    scheduler.handlers["tsdask_wanted"] = wanted_workers


def wanted(scheduler: Any, group: int | None, groups: list[Resources], target_duration: float) -> int:
    """Return how many workers of a group the present work asks for, if it is to be done in `target_duration` seconds.

    `groups` are what a worker of each has; `group` is one's place in that list, None for the workers that are of none.
    """
    members = [worker for worker in scheduler.workers.values() if group_of_worker(worker.resources, groups) == group]
    threads = sum(worker.nthreads for worker in members) / len(members) if members else 1
    tasks = work = 0.0
    lasted: dict[str, float] = {}
    for task, weight, ran in _tasks(scheduler):
        if group_of_task(task.resource_restrictions, groups) != group:
            continue
        share = _share(task.resource_restrictions, {} if group is None else groups[group], threads)
        lasted[task.prefix.name] = max(lasted.get(task.prefix.name, 0.0), ran)
        tasks += share * weight
        work += share * weight * _seconds(task.prefix, lasted[task.prefix.name])
    by_work = math.ceil(min(tasks, work / target_duration)) if tasks else 0
    limit = sum(worker.memory_limit for worker in members)
    full = limit > 0 and sum(worker.nbytes for worker in members) > FULL * limit
    return max(by_work, 1 if tasks else 0, 2 * len(members) if full else 0)


def group_of_worker(resources: Resources, groups: list[Resources]) -> int | None:
    """Return the place of the group whose workers have exactly these resources."""
    return next((place for place, own in enumerate(groups) if own and dict(own) == dict(resources)), None)


def group_of_task(restrictions: Resources | None, groups: list[Resources]) -> int | None:
    """
    Return the place of the first group whose workers can run a task that asks for this; None for one that asks for
    nothing, too.
    """
    if not restrictions:
        return None
    fits = (all(own.get(name, 0) >= amount for name, amount in restrictions.items()) for own in groups)
    return next((place for place, fit in enumerate(fits) if fit), None)


def _share(restrictions: Resources | None, own: Resources, threads: float) -> float:
    """Return the part of a worker that one task takes while it runs."""
    parts = (amount / own[name] for name, amount in (restrictions or {}).items() if own.get(name))
    return max(1 / threads, *parts, 0.0)


def _seconds(prefix: Any, lasted: float) -> float:
    """
    Return how long a task of this name takes: as they did, or twice as long as one has run by now that takes far
    longer, as Dask has it.
    """
    average = float(prefix.duration_average)
    known = average if average >= 0 else _configured("distributed.scheduler.unknown-task-duration")
    return 2 * lasted if lasted > 2 * known else known


def _tasks(scheduler: Any) -> Iterator[tuple[Any, float, float]]:
    """
    Yield the tasks that run first, then those that wait, each with how many it stands for, and how long it has run
    (seconds).
    """
    for worker in scheduler.workers.values():
        for task, weight in _sampled(worker.processing):
            yield task, weight, worker.executing.get(task, 0.0)
    for task in scheduler.unrunnable:
        yield task, 1.0, 0.0
    for task, weight in _sampled(getattr(scheduler, "queued", ())):
        yield task, weight, 0.0


def _sampled(tasks: Collection[Any]) -> Iterator[tuple[Any, float]]:
    weight = max(1.0, len(tasks) / SAMPLE)
    for task in islice(tasks, SAMPLE):
        yield task, weight


def _configured(name: str) -> float:
    """Return a time of Dask's configuration in seconds."""
    import dask.config
    from dask.utils import parse_timedelta

    return float(parse_timedelta(dask.config.get(name)))
