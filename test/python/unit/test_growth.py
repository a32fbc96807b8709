"""Which group a worker and a task are counted for, and how many workers the tasks ask for."""

from __future__ import annotations

import random
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from tsdask_mpi import growth
from tsdask_mpi.growth import SAMPLE, group_of_task, group_of_worker, wanted

GROUPS = [{"GPU": 1.0}, {"GPU": 4.0, "MEM": 100.0}, {}]


@pytest.mark.parametrize(
    ("resources", "group"), [({"GPU": 1}, 0), ({"MEM": 100.0, "GPU": 4.0}, 1), ({"GPU": 2}, None), ({}, None)]
)
def test_worker(resources: dict[str, float], group: int | None) -> None:
    assert group_of_worker(resources, GROUPS) == group


@pytest.mark.parametrize(
    ("restrictions", "group"),
    [(None, None), ({}, None), ({"GPU": 1}, 0), ({"GPU": 2}, 1), ({"GPU": 1, "MEM": 1}, 1), ({"TPU": 1}, None)],
)
def test_task(restrictions: dict[str, float] | None, group: int | None) -> None:
    assert group_of_task(restrictions, GROUPS) == group


class Task:
    """One of a second's length that asks for this; the class knows which were looked at closely."""

    seen: set[Task] = set()

    def __init__(self, restrictions: dict[str, float] | None) -> None:
        self.resource_restrictions = restrictions

    @property
    def prefix(self) -> SimpleNamespace:
        Task.seen.add(self)
        return SimpleNamespace(name="f", duration_average=1.0)


@pytest.fixture(autouse=True)
def without_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_configured", lambda _name: 0.5)


def asked(tasks: Iterable[Task], workers: int = 0) -> list[int]:
    """How many workers of each group, and of none, tasks ask for that wait or that these workers were given."""
    Task.seen.clear()
    crowd = dict.fromkeys(tasks)
    given = [SimpleNamespace(processing=dict.fromkeys(list(crowd)[i::workers]), executing={}) for i in range(workers)]
    for worker in given:
        worker.__dict__.update(resources={"GPU": 1.0}, nthreads=1, memory_limit=0, nbytes=0)
    scheduler = SimpleNamespace(workers=dict(enumerate(given)), unrunnable={} if workers else crowd)
    groups = [{"GPU": 1.0}, {"MEM": 1.0}]
    return [wanted(scheduler, group, groups, target_duration=1.0) for group in (0, 1, None)]


def many(gpu: int, mem: int, plain: int = 0) -> list[Task]:
    kinds: list[tuple[int, dict[str, float] | None]] = [(gpu, {"GPU": 1.0}), (mem, {"MEM": 1.0}), (plain, None)]
    return [Task(kind) for number, kind in kinds for _ in range(number)]


@pytest.mark.parametrize("numbers", [(3, 2, 1), (900, 99, 1), (9_990, 7, 3), (7, 9_990, 3), (0, 1, 9_999)])
def test_a_large_group_hides_no_small_one(numbers: tuple[int, int, int]) -> None:
    tasks = many(*numbers)
    for crowd in (tasks, tasks[::-1], random.Random(1).sample(tasks, len(tasks))):
        assert asked(crowd) == pytest.approx(numbers, rel=0.001)


def test_groups_of_like_size_are_told_apart_in_any_order() -> None:
    tasks = many(5_000, 5_000)
    taken_in_turn = [task for pair in zip(tasks[:5_000], tasks[5_000:], strict=True) for task in pair]
    for crowd in (tasks, taken_in_turn, random.Random(1).sample(tasks, len(tasks))):
        assert asked(crowd)[:2] == pytest.approx([5_000, 5_000], rel=0.1)


def test_tasks_that_all_ask_for_something_else_are_counted() -> None:
    assert asked([Task({"MEM": i / 20_000}) for i in range(1, 20_001)])[1] == 20_000


@pytest.mark.parametrize("workers", [0, 50])
def test_no_more_tasks_are_looked_at_when_more_wait(workers: int) -> None:
    assert asked(many(30_000, 0), workers)[0] == 30_000
    assert len(Task.seen) <= (10 if workers else 1) * SAMPLE
