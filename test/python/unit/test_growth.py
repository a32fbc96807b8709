"""Which group a worker and a task are counted for."""

from __future__ import annotations

import pytest
from tsdask_mpi.growth import group_of_task, group_of_worker

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
