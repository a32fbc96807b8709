"""What a `Cluster` starts or submits, and where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tsdask_mpi import kept
from tsdask_mpi.kept import ClusterStartError, Source

# What stands for tsdask-mpi, in a folder that a group may write in.
PROGRAM = """#!/bin/sh
case "$*" in
  connect*--trust-shared-folder*) echo "tsdask-mpi: TSD-023 there is no such file" >&2; exit 66 ;;
  connect*) echo "tsdask-mpi: TSD-120 not believed; say --trust-shared-folder." >&2; exit 69 ;;
  script*) echo "$*" >submitted; echo 17 ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "tsdask-mpi"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path / "place")
    monkeypatch.setattr(kept, "PROGRAM", program)
    return tmp_path / "place"


def source(way: str, **options: Any) -> Source:
    return kept.here(2, options, 1.0, ".") if way == "here" else kept.batch("slurm", {}, options, 1.0, None)


@pytest.mark.parametrize("way", ["here", "batch"])
@pytest.mark.parametrize("said", [None, False])
def test_in_a_folder_that_is_not_trusted_nothing_is_started(way: str, said: bool | None, place: Path) -> None:
    with pytest.raises(ClusterStartError, match=r"TSD-120 .*\nIn Python: trust_shared_folder=True\."):
        source(way, trust_shared_folder=said)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("way", ["here", "batch"])
@pytest.mark.parametrize("name", ["trust_shared_folder", "trust-shared-folder"])
def test_in_one_that_is_trusted_the_launch_is_told(way: str, name: str, place: Path) -> None:
    found = source(way, **{name: True})
    line = " ".join(found.command or []) if way == "here" else (place / "submitted").read_text()
    assert found.trust
    assert "--trust-shared-folder" in line
    assert way == "here" or found.end[1] == ["scancel", "17"]


@pytest.mark.parametrize("way", ["here", "batch"])
@pytest.mark.parametrize("name", ["scheduler_file", "scheduler-file"])
def test_a_scheduler_file_elsewhere_is_refused_and_not_waited_for(way: str, name: str, place: Path) -> None:
    with pytest.raises(ValueError, match=r"cluster\.scheduler_file is its path"):
        source(way, trust_shared_folder=True, **{name: "mine.json"})
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("way", ["here", "batch"])
def test_a_scheduler_file_of_none_is_none(way: str, place: Path) -> None:
    found = source(way, trust_shared_folder=True, scheduler_file=None)
    line = " ".join(found.command or []) if way == "here" else (place / "submitted").read_text()
    assert f"--scheduler-file={found.file}" in line
