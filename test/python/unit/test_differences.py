"""What a script is told of the cluster that it gets where it asked for another."""

from __future__ import annotations

from typing import Any

import pytest
from tsdask_mpi.adopt.tsdask_adopt import notes

pytest.importorskip("dask")

WORKER = {"nthreads": 2, "memory_limit": 10**9, "resources": {"FPGA": 2}}
INFO = {"workers": {"tcp://a": WORKER, "tcp://b": WORKER}}
GETS = "the script gets this launch's 2 workers, each a process with 2 threads and 0.93 GiB."
HERE = {"mode": "adopt", "workers": "2"}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(notes, "_say", lines.append)
    monkeypatch.setattr(notes, "settings", HERE)
    monkeypatch.setenv("THERE", "1")
    return lines


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"n_workers": 16, "processes": False}, "n_workers=16, processes=False"),
        ({"n_workers": 2, "threads_per_worker": 2, "memory_limit": "1GB", "processes": True}, None),
        ({"env": {"THERE": 1, "SECRET": "word"}}, "env={'SECRET': ...}"),
        ({"env": {"THERE": "1"}, "preload": [], "plugins": None, "worker_extra_args": []}, None),
        ({"preload": "mine", "plugins": [object()]}, "preload=..., plugins=..."),
        ({"cores": 8, "processes": 4, "memory": "4GB", "walltime": "01:00:00", "queue": "long"}, None),
        ({"cores": 24, "processes": 4, "memory": "500GB"}, "cores=24, memory='500GB', processes=4"),
        ({"cores": 4, "memory": "2GB"}, None),  # dask-jobqueue makes two processes of them
        ({"cores": 9}, "cores=9"),
        ({"job_script_prologue": ["module load x"], "env_extra": ["a"]}, "job_script_prologue=..., env_extra=..."),
        ({"worker_extra_args": ["--resources FPGA=2", "--lifetime", "55m"]}, "worker_extra_args=..."),
        ({"local_directory": "/scratch/me", "lifetime": "1h"}, "lifetime=..., local_directory=..."),
        ({"memory_spill_fraction": False, "memory_pause_fraction": None}, "memory_spill_fraction=False"),
        ({"worker_options": {"nthreads": 2, "memory_limit": "1GB", "resources": {"FPGA": 1}}}, None),
        ({"worker_options": {"nthreads": 8}}, "worker_options=..."),
        ({"worker_options": {"preload": "mine"}}, "worker_options=..."),
        ({"worker_cores": 2, "worker_memory": 0.9313}, None),
        ({"worker_cores": 4, "worker_memory": 8}, "worker_cores=4, worker_memory=8"),
        ({"worker_cpu": 2, "worker_memory": "4 GB"}, "worker_memory='4 GB'"),
    ],
)
def test_what_differs_is_named(said: list[str], asked: dict[str, Any], line: str | None) -> None:
    notes.differences("Some", asked, INFO)
    assert said == ([] if line is None else [f"Some({line}): {GETS}"])


@pytest.mark.parametrize(
    ("asked", "here", "lacking"),
    [
        ({"resources": {"GPU": 1}}, {}, "GPU=1"),
        ({"resources": {"GPU": 2, "FPGA": 2}}, {"resources": "GPU:1"}, "GPU=2"),
        ({"resources": {"a:b": 1, "GPU": 2}}, {"resources": "GPU:2+a%3Ab:1"}, None),
        ({"resources": {"limits": {"memory": "8Gi"}}}, {}, None),
        ({"worker_extra_args": ["--resources GPU=1,FPGA=1"]}, {}, "GPU=1"),
        ({"worker_extra_args": ["--resources", "'GPU=1 MEM=1e9'"]}, {}, "GPU=1 MEM=1e+09"),
        ({"extra": "--resources=FPGA=1"}, {}, None),
        ({"worker_options": {"resources": {"GPU": 1}}}, {}, "GPU=1"),
        ({"extra": ["it's"], "resources": None}, {}, None),
    ],
)
def test_resources_that_no_worker_has_are_warned_of(
    said: list[str], monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], here: dict[str, str], lacking: str | None
) -> None:
    monkeypatch.setattr(notes, "settings", {**HERE, **here})
    notes.differences("Some", asked, INFO)
    warned = [line for line in said if line.startswith("warning: ")]
    assert [line.partition(", and this launch has none: ")[0] for line in warned] == (
        [] if lacking is None else [f"warning: Some asks for workers with {lacking}"]
    )
    assert all("`--resources " in line for line in warned)


def test_workers_that_are_still_to_come_may_have_them(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    notes.differences("Some", {"resources": {"GPU": 1}}, {"workers": {"tcp://a": WORKER}})
    assert len(said) == 1
    assert "and this launch has none so far: " in said[0]
    monkeypatch.setattr(notes, "settings", {"mode": "adopt"})
    notes.differences("Some", {"resources": {"GPU": 1}}, {"workers": {}})
    assert len(said) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"nthreads": 1, "memory_limit": "auto", "local_directory": "", "worker_class": "distributed.Worker"}, None),
        ({"memory_limit": "1GB"}, "memory_limit='1GB'"),
        ({"nthreads": 4, "local_directory": "/scratch/me"}, "nthreads=4, local_directory='/scratch/me'"),
    ],
)
def test_of_dask_mpis_words_those_are_said_that_come_too_late(
    said: list[str], words: dict[str, Any], line: str | None
) -> None:
    from tsdask_mpi.adopt.tsdask_adopt import stand_ins

    stand_ins._say_words("initialize", words)
    assert said == (
        [] if line is None else [f"initialize({line}): the launch has begun; give these words to tsdask-mpi."]
    )


def test_resources_in_dask_mpis_words_are_warned_of(said: list[str]) -> None:
    from tsdask_mpi.adopt.tsdask_adopt import stand_ins

    stand_ins._say_words("initialize", {"worker_options": {"resources": {"GPU": 1}}})
    assert len(said) == 1
    assert said[0].startswith("warning: initialize asks for workers with GPU=1")
