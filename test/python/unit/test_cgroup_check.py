"""Whether a child of the fork server is held to the same limits as its rank."""

from __future__ import annotations

from pathlib import Path

import pytest
from tsdask_mpi.cgroup_check import cgroups, difference

STEP = "/system.slice/slurmstepd.scope/job_7/step_0/user"


def test_the_same_cgroups_will_do() -> None:
    assert difference({"": f"{STEP}/task_0"}, {"": f"{STEP}/task_0"}, {}) is None


def test_where_nothing_can_be_read_nothing_is_held_against_it() -> None:
    assert difference({"": "/a"}, {}, {}) is None
    assert cgroups("no-process") == {}


def test_leaves_of_one_step_without_limits_grant_the_same(tmp_path: Path) -> None:
    leaf = tmp_path / STEP[1:] / "task_3"
    leaf.mkdir(parents=True)
    (leaf / "memory.max").write_text("max\n")
    (leaf / "cpu.max").write_text("max 100000\n")
    assert difference({"": f"{STEP}/task_0"}, {"": f"{STEP}/task_3"}, {}, str(tmp_path)) is None
    (leaf / "memory.max").write_text("1048576\n")
    told = difference({"": f"{STEP}/task_0"}, {"": f"{STEP}/task_3"}, {}, str(tmp_path))
    assert told is not None and "memory.max 1048576" in told


@pytest.mark.parametrize(
    ("ours", "theirs", "env", "word"),
    [
        ({"": "/a"}, {"": "/b"}, {}, "the rank is in cgroup /b"),
        ({"": f"{STEP}/task_0"}, {"": "/job_8/step_0/user/task_0"}, {}, "the rank is in cgroup"),
        ({"cpuset": f"{STEP}/task_0"}, {"cpuset": f"{STEP}/task_1"}, {}, "a cpuset cgroup of its own"),
        ({"": f"{STEP}/task_0"}, {"": f"{STEP}/task_1"}, {"CUDA_VISIBLE_DEVICES": "1"}, "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_what_grants_something_else_is_named(
    ours: dict[str, str], theirs: dict[str, str], env: dict[str, str], word: str
) -> None:
    told = difference(ours, theirs, env)
    assert told is not None and word in told


def test_a_named_hierarchy_limits_nothing() -> None:
    assert difference({"name=systemd": "/a"}, {"name=systemd": "/b"}, {}) is None
