"""What the fork server does with what its children leave behind."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest
from tsdask_mpi import children


def test_where_there_can_be_no_more_processes_a_killed_child_s_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fork server ended for it, and the launch with it."""

    def refused() -> int:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    assert children.remove_folder(str(tmp_path)) is None
    assert tmp_path.exists()


def _sleeping(mark: str | None) -> subprocess.Popen[bytes]:
    env = {} if mark is None else {children.MARK: mark}
    process = subprocess.Popen(["/bin/sleep", "600"], env=env, start_new_session=True)
    # In the midst of its execve its environment reads as empty, as that of one without a mark.
    while Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[48] == "0":
        time.sleep(0.001)
    return process


def test_an_orphan_without_a_mark_is_spared_until_no_child_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a living worker's: what a task had started with an environment of its own died with a neighbour."""
    with _sleeping("1.1") as living, _sleeping("1.2") as dead, _sleeping(None) as unmarked:
        monkeypatch.setattr(children, "offspring", lambda: [living.pid, dead.pid, unmarked.pid])
        killed: list[int] = []
        monkeypatch.setattr(children, "kill_group", killed.append)
        try:
            children.kill_orphans(set(), {"1.1"})
            assert killed == [dead.pid]
            children.kill_orphans({dead.pid}, set())
            assert killed == [dead.pid, living.pid, unmarked.pid]
        finally:
            for process in (living, dead, unmarked):
                process.kill()
