"""What the fork server does with what its children leave behind."""

from __future__ import annotations

import errno
import os
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
