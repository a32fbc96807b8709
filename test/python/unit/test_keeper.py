"""What the keeper of a `Cluster` removes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tsdask_mpi import keeper, kept
from tsdask_mpi.kept import ClusterStartError


def keep(spec: dict[str, Any]) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-I", "-S", str(kept.KEEPER), json.dumps(spec)]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.parametrize("swapped", [False, True])
def test_only_the_very_folder_that_was_made_is_removed(swapped: bool, tmp_path: Path) -> None:
    private = kept.private_folder(".tsdask-cluster-", str(tmp_path))
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "year").write_text("")
    (Path(private.path) / "log").mkdir()
    (Path(private.path) / "log" / "one").write_text("")
    keeper = keep({"remove": [list(private)]})
    if swapped:
        os.rename(private.path, tmp_path / "away")
        os.rename(tmp_path / "results", private.path)
    keeper.communicate(timeout=30)
    assert keeper.returncode == 0
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("**/year"))
    assert left == [f"{os.path.basename(private.path)}/year" if swapped else "results/year"]
    assert swapped or os.listdir(tmp_path) == ["results"]


def test_the_log_is_written_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("all of it")
    (tmp_path / "log").symlink_to("thesis")
    keep({"command": ["echo", "no"], "log": str(tmp_path / "log")}).communicate(timeout=30)
    assert (tmp_path / "thesis").read_text() == "all of it"


def test_a_folder_that_was_put_in_its_place_at_once_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir(mode=0o700)
    (tmp_path / "results" / "year").write_text("")
    monkeypatch.setattr(kept.tempfile, "mkdtemp", lambda **_: str(tmp_path / "results"))
    with pytest.raises(ClusterStartError, match=r"TSD-168 .*results"):
        kept.private_folder("tsdask-cluster-", None)
    assert (tmp_path / "results" / "year").exists()


def test_a_batch_system_that_hangs_costs_no_error_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = kept.private_folder(".tsdask-cluster-", str(tmp_path))
    # It hangs until the test lets it go on.
    os.mkfifo(tmp_path / "hangs")
    held = kept.Kept(kept.Source("none", private=private, end=[["cat", str(tmp_path / "hangs")]]))
    monkeypatch.setattr(kept, "END", 0.2)
    held.end()
    assert os.path.exists(private.path)
    (tmp_path / "hangs").write_text("")
    monkeypatch.undo()
    held.end()
    assert not os.path.exists(private.path)


def test_the_keeper_has_the_time_that_it_gives_its_commands() -> None:
    assert kept.END > 2 * keeper.COMMAND + keeper.TRIES
    assert kept.END > keeper.GRACE + keeper.TRIES
