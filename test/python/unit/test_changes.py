"""What a script is told of its own changes that its workers do not see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tsdask_mpi.adopt.tsdask_adopt import finder, notes

pytest.importorskip("distributed")


def told(monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> list[str]:
    import dask.config
    from tsdask_mpi.adopt.tsdask_adopt import changes

    lines: list[str] = []
    monkeypatch.setattr(notes, "note", lines.append)
    with dask.config.set(settings):
        changes.tell()
    return [line.partition(": ")[0] for line in lines]


def test_what_is_as_it_was_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "started_in", str(Path.cwd()))
    settings = {"scheduler-address": "tls://a:1", "distributed.comm.timeouts.connect": "77s", "array.chunk-size": "1MB"}
    assert told(monkeypatch, settings) == []
    monkeypatch.setattr(finder, "started_in", None)
    assert told(monkeypatch, {}) == []


def test_settings_that_change_nothing_for_workers_are_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "started_in", None)
    worker = "distributed.worker"
    assert told(monkeypatch, {f"{worker}.daemon": False, f"{worker}.multiprocessing_method": "fork"}) == []


def test_settings_have_the_names_that_the_script_gave_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "started_in", None)
    environ = "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_"
    assert told(monkeypatch, {environ: 1, "distributed.worker.resources": {1: 2}}) == [
        f"the script has set distributed.worker.resources.1, {environ}"
    ]


def test_a_folder_and_settings_of_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(finder, "started_in", str(Path.cwd()))
    (tmp_path / "sub").mkdir()
    before = Path.cwd()
    monkeypatch.chdir(tmp_path / "sub")
    memory = "distributed.worker.memory"
    assert told(monkeypatch, {f"{memory}.spill": False, f"{memory}.pause": False}) == [
        f"the script works in {tmp_path}/sub, no longer in {before}, and has set {memory}.pause, {memory}.spill"
    ]
    many = {f"{memory}.{name}": False for name in ("spill", "pause", "terminate")}
    (line,) = told(monkeypatch, {**many, "distributed.nanny.environ": {"X": "1"}})
    assert " more" in line
    (tmp_path / "sub").rmdir()
    assert "a folder that was removed" in told(monkeypatch, {})[0]
