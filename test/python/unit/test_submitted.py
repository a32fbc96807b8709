"""When a `Cluster.batch` that is not up yet is given up."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tsdask_mpi import kept, submitted
from tsdask_mpi.kept import ClusterStartError, Kept, Private, Source
from tsdask_mpi.submitted import Job


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What is answered, one after the other, and then for good: a state of the job, None where it is not listed."""
    given: list[Any] = []

    def clusters() -> list[dict[str, Any]]:
        state = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(state, Exception):
            raise state
        listed = {"job": {"system": "slurm", "id": "17"}, "state": state, "why": "its job ended" * (state == "ended")}
        others: list[dict[str, Any]] = [{"job": None, "state": "running"}]
        return others if state is None else [*others, listed]

    monkeypatch.setattr(submitted, "list_clusters", clusters)
    monkeypatch.setattr(submitted, "ASK", 0.0)
    monkeypatch.chdir(tmp_path)
    return given


def failure(timeout: float, output: str | None = None) -> str:
    """Wait for a cluster that never comes; return why that was given up."""
    source = Source(
        "scheduler.json", private=Private("private", (0, 0)), timeout=timeout, job=Job("slurm", "17", output)
    )
    held = Kept(source)
    try:
        with pytest.raises(ClusterStartError) as failed:
            held.wait()
    finally:
        held.end()
    return str(failed.value)


@pytest.mark.parametrize(
    ("name", "output"), [("some-17.out", None), ("17.out", None), ("x.o17", None), ("mine", "mine")]
)
def test_a_job_that_is_gone_ends_the_wait_with_its_output(
    answers: list[Any], tmp_path: Path, name: str, output: str | None
) -> None:
    answers += ["pending", "starting", "ended"]
    for other in ("some-117.out", "17.nc", "output"):
        (tmp_path / other).write_text("not this")
    (tmp_path / name).write_text("TSD-003 --nthreads")
    said = failure(60, output)
    path = tmp_path / name
    assert said.endswith(f"slurm 17: its job ended. The end of its output, {path}:\nTSD-003 --nthreads")


def test_without_an_output_that_is_seen_here(answers: list[Any]) -> None:
    answers += ["ended"]
    assert failure(60).endswith("slurm 17: its job ended. Its output says more.")


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (["pending"], "; slurm 17 is still waiting."),
        (["ended", "starting"], "; slurm 17 has started."),
        ([None], "."),
        ([RuntimeError("no list")], "."),
        ([subprocess.TimeoutExpired("list", 30)], "."),
        (["ended", None, "ended", None, "ended", None, "unknown"], "."),
    ],
)
def test_a_wait_that_is_over_says_what_is_known_of_the_job(
    answers: list[Any], monkeypatch: pytest.MonkeyPatch, states: list[Any], words: str
) -> None:
    answers += states
    monkeypatch.setattr(kept, "LOOK", 0.01)
    assert f"was not up after 0 seconds{words} start_timeout=" in failure(0.3)


def test_it_is_asked_for_now_and_then(answers: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    answers += ["ended"]
    monkeypatch.setattr(submitted, "ASK", 10.0)
    assert "has ended" not in failure(0.3)


@pytest.mark.parametrize(("system", "mine"), [("htcondor", True), ("slurm", False)])
def test_one_of_several_jobs_that_htcondor_calls_by_a_number(
    monkeypatch: pytest.MonkeyPatch, system: str, mine: bool
) -> None:
    listed = {"job": {"system": system, "id": "12.0"}, "state": "running"}
    monkeypatch.setattr(submitted, "list_clusters", lambda: [listed])
    job = Job(system, "12", None)
    job.look()
    assert job.now() == (f"; {system} 12 has started" if mine else "")
