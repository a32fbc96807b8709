"""How many workers a script's own scale() and adapt() ask for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tsdask_mpi.adapting import Adapting
from tsdask_mpi.adopt.tsdask_adopt import growth, notes

CLUSTER = types.SimpleNamespace(scheduler_info={"workers": {"tcp://a": {"nthreads": 2, "memory_limit": 10**9}}})


class Counted:
    """Not an int, as NumPy's integers are not."""

    def __ceil__(self) -> int:
        return 3


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    lines: list[list[str]] = []
    monkeypatch.setattr(growth, "_start", lines.append)
    monkeypatch.setattr(growth, "_keep", lines.append)
    monkeypatch.setattr(notes, "settings", {"mode": "adopt", "workers": "1", "script-scale": "4", "quiet": ""})
    monkeypatch.setenv("TSDASK_SCHEDULER_FILE", "scheduler.json")
    return lines


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"n": 3}, ["scale", "3"]),
        ({"n": Counted()}, ["scale", "3"]),
        ({"n": 2.5}, ["scale", "3"]),
        ({"n": 9.0}, ["scale", "4"]),
        ({"n": 0}, ["scale", "0"]),
        ({"n": None, "jobs": 2}, ["scale", "2"]),
        ({"n": None, "jobs": 0}, ["scale", "0"]),
        ({"n": None, "cores": 3}, ["scale", "2"]),
        ({"n": None}, None),
    ],
)
def test_scale(started: list[list[str]], words: dict[str, Any], line: list[str] | None) -> None:
    growth.scale(CLUSTER, **words)
    assert started == ([] if line is None else [line])


def test_scale_of_numpy(started: list[list[str]]) -> None:
    numpy = pytest.importorskip("numpy")
    growth.scale(CLUSTER, numpy.int64(2))
    growth.adapt(CLUSTER, {"minimum": numpy.int64(1), "maximum": numpy.int32(3)})
    assert started == [["scale", "2"], ["adapt", "--min", "1", "--max", "3"]]


@pytest.mark.parametrize(
    ("maximum", "most"),
    [(3, "3"), (2.5, "3"), (Fraction(3), "3"), (9, "4"), (float("inf"), "4"), (float("nan"), "4"), (None, "4")],
)
def test_adapt(started: list[list[str]], maximum: Any, most: str) -> None:
    growth.adapt(CLUSTER, {"minimum": 0, "maximum": maximum})
    assert started == [["adapt", "--min", "0", "--max", most]]


@pytest.mark.parametrize(
    ("words", "bounds"),
    [
        ({"maximum_cores": 5}, ["0", "2"]),
        ({"maximum_memory": "3GB", "maximum": 4}, ["0", "3"]),
        ({"minimum_cores": 5, "maximum": 4}, ["3", "4"]),
        ({"minimum_jobs": 1, "maximum_jobs": 3}, ["1", "3"]),
        ({"maximum": 0}, ["0", "1"]),
    ],
)
def test_adapt_keeps_to_every_bound(started: list[list[str]], words: dict[str, Any], bounds: list[str]) -> None:
    pytest.importorskip("dask")
    growth.adapt(CLUSTER, words)
    assert started == [["adapt", "--min", bounds[0], "--max", bounds[1]]]


def test_jobs_of_several_processes(started: list[list[str]]) -> None:
    jobs = types.SimpleNamespace(_asked=("SLURMCluster", {"processes": 2}), **vars(CLUSTER))
    growth.scale(jobs, None, jobs=2)
    growth.adapt(jobs, {"minimum_jobs": 1, "maximum_jobs": 2})
    assert started == [["scale", "4"], ["adapt", "--min", "2", "--max", "4"]]


def test_the_last_call_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, adapts = tmp_path / "log", tmp_path / "adapts"
    program = tmp_path / "tsdask-mpi"
    program.write_text(
        f"#!/bin/sh\necho begins $2 >> {log}\nif [ $1 = adapt ]; then touch {adapts}; exec sleep 60; fi\n"
        f"sleep 0.3\necho ends $2 >> {log}\n"
    )
    program.chmod(0o700)
    monkeypatch.setattr(growth, "_PROGRAM", str(program))
    monkeypatch.setattr(notes, "settings", {"mode": "adopt", "workers": "1", "script-scale": "4", "quiet": ""})
    monkeypatch.setenv("TSDASK_SCHEDULER_FILE", "scheduler.json")
    for n in (1, 2, 3):
        growth.scale(CLUSTER, n)
        if n == 1:
            assert waited(log.exists)
    adapting = growth.adapt(CLUSTER, {"minimum": 1, "maximum": 2})
    assert waited(adapts.exists)
    # Another handle's: the number that is asked for now ends what adapts.
    growth.scale(CLUSTER, 4)
    assert not adapting.periodic_callback
    assert waited(lambda: log.read_text().endswith("ends 4\n"))
    assert log.read_text().split("\n")[:2] == ["begins 1", "ends 1"]
    assert "begins 2" not in log.read_text()


def waited(look: Callable[[], Any]) -> Any:
    until = time.monotonic() + 10
    while not (found := look()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


class Program:
    """Stands for `tsdask-mpi adapt`: runs until it is ended, and leaves its process's number."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tsdask-mpi"
        self.path.write_text(f"#!/bin/sh\necho $$ > {folder}/new\nmv {folder}/new {folder}/pid\nexec sleep 60\n")
        self.path.chmod(0o700)
        self._pid = folder / "pid"

    def pid(self) -> int:
        assert waited(self._pid.exists)
        return int(self._pid.read_text())

    def is_gone(self) -> bool:
        return bool(waited(lambda: not os.path.exists(f"/proc/{self.pid()}")))


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    made = Program(tmp_path)
    monkeypatch.setattr(growth, "_PROGRAM", str(made.path))
    monkeypatch.setenv("TSDASK_SCHEDULER_FILE", "scheduler.json")
    return made


def test_what_interrupts_a_cell_does_not_reach_adapt(program: Program) -> None:
    adapting = growth.adapting(0, 1)
    assert os.getpgid(program.pid()) != os.getpgrp()
    assert adapting.periodic_callback
    adapting.stop()
    assert program.is_gone()
    assert not adapting.periodic_callback


def test_stop_ends_adapt_while_a_forked_process_lives(program: Program) -> None:
    adapting = growth.adapting(0, 1)
    program.pid()
    forked = os.fork()
    if forked == 0:
        time.sleep(60)
        os._exit(0)
    try:
        adapting.stop()
        assert program.is_gone()
    finally:
        os.kill(forked, signal.SIGKILL)
        os.waitpid(forked, 0)


def test_adapt_that_ends_by_itself_is_no_longer_shown(program: Program) -> None:
    adapting = growth.adapting(0, 1)
    os.kill(program.pid(), signal.SIGKILL)
    assert waited(lambda: adapting.periodic_callback is None)
    adapting.stop()


def test_adapt_of_a_cluster_that_ends_by_itself_is_no_longer_shown(program: Program) -> None:
    adapting = Adapting([str(program.path), "adapt"])
    os.kill(program.pid(), signal.SIGKILL)
    assert waited(lambda: adapting.periodic_callback is None)
    adapting.stop()


def test_adapt_ends_with_a_process_that_is_killed(program: Program) -> None:
    text = f"""
import time
from tsdask_mpi.adopt.tsdask_adopt import growth
growth._PROGRAM = {str(program.path)!r}
kept = growth.adapting(0, 1)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", text]) as script:
        program.pid()
        script.kill()
    assert program.is_gone()
