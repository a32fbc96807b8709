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
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from tsdask_mpi.compat import derived_settings
from tsdask_mpi.wire import Message

#: Of the tasks that one worker was given, or that are queued, so many are looked at; the others are taken to be like
#: them.
SAMPLE = 1000
#: Of all workers' together so many (3 microseconds each), yet of each worker's these few.
OF_WORKERS = 10_000
FEW = 20
#: Of the tasks that no worker can run, the thousand are spread over all of them. What at least so many of the thousand
#: ask for counts by them; what else is asked for may be a small group's, and is looked for among so many tasks.
COMMON = 20
COUNTED = 200_000
#: Data beyond this part of a group's memory asks for more workers, as in Dask's own `adaptive_target`.
FULL = 0.6

Resources = Mapping[str, float]


def answer(scheduler: Any) -> None:
    """Have the scheduler answer `tsdask_expect` and `tsdask_wanted`."""

    def expect(settings: dict[str, Any]) -> Message:
        ttl = "distributed.scheduler.worker-ttl"
        # One that --scheduler-options or the user's code has set is theirs.
        follows = scheduler.worker_ttl and scheduler.worker_ttl == _configured(ttl)
        derived_settings.take(settings)
        if follows:
            scheduler.worker_ttl = _configured(ttl)
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
    unknown = _configured("distributed.scheduler.unknown-task-duration")
    for task, weight, ran in _tasks(scheduler):
        if group_of_task(task.resource_restrictions, groups) != group:
            continue
        share = _share(task.resource_restrictions, {} if group is None else groups[group], threads)
        lasted[task.prefix.name] = max(lasted.get(task.prefix.name, 0.0), ran)
        tasks += share * weight
        work += share * weight * _seconds(task.prefix, lasted[task.prefix.name], unknown)
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


def _seconds(prefix: Any, lasted: float, unknown: float) -> float:
    """
    Return how long a task of this name takes: as they did, or twice as long as one has run by now that takes far
    longer, as Dask has it.
    """
    average = float(prefix.duration_average)
    known = average if average >= 0 else unknown
    return 2 * lasted if lasted > 2 * known else known


def _tasks(scheduler: Any) -> Iterator[tuple[Any, float, float]]:
    """
    Yield the tasks that run first, then those that wait, each with how many it stands for, and how long it has run
    (seconds).
    """
    most = min(SAMPLE, max(FEW, OF_WORKERS // max(1, len(scheduler.workers))))
    for worker in scheduler.workers.values():
        for task, weight in _sampled(worker.processing, most):
            yield task, weight, worker.executing.get(task, 0.0)
    for task, weight in _unrunnable(scheduler.unrunnable):
        yield task, weight, 0.0
    for task, weight in _sampled(getattr(scheduler, "queued", ()), SAMPLE):
        yield task, weight, 0.0


def _sampled(tasks: Collection[Any], most: int) -> Iterator[tuple[Any, float]]:
    weight = max(1.0, len(tasks) / most)
    for task in islice(tasks, most):
        yield task, weight


def _unrunnable(tasks: Collection[Any]) -> Iterator[tuple[Any, float]]:
    """
    Yield tasks that no worker can run, and how many each stands for. A group without workers has all of its tasks here:
    its million must neither hide another one's ten, nor hold the event loop for seconds.
    """
    sample, step = _spread(tasks, SAMPLE)
    if step == 1:
        yield from ((task, 1.0) for task in sample)
        return
    asked = [frozenset((task.resource_restrictions or {}).items()) for task in sample]
    common = {kind: number for kind, number in Counter(asked).most_common() if number >= COMMON}
    wanted = [dict(kind) for kind in common]
    counted, each = _spread(tasks, COUNTED)
    # To compare takes 60 to 400 ns a task, all that is done with one that is yielded some thousands.
    others = [task for task in counted if (task.resource_restrictions or {}) not in wanted]
    if common:
        weight = (len(tasks) - each * len(others)) / sum(common.values())
        yield from ((task, weight) for task, kind in zip(sample, asked, strict=True) if kind in common)
    some, _ = _spread(others, SAMPLE)
    yield from ((task, each * len(others) / len(some)) for task in some)


def _spread(tasks: Collection[Any], most: int) -> tuple[list[Any], int]:
    """Return no more than `most` of these tasks from all over, and for how many each stands."""
    step = max(1, math.ceil(len(tasks) / most))
    return list(islice(tasks, 0, None, step)), step


def _configured(name: str) -> float:
    """Return a time of Dask's configuration in seconds."""
    import dask.config
    from dask.utils import parse_timedelta

    return float(parse_timedelta(dask.config.get(name)) or 0)
