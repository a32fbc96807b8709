"""The removal of a launch's folder."""

import errno
import os
from pathlib import Path

import pytest
from tsdask_mpi.watchdog import remove_folder


def folder_with(path: Path, *names: str) -> tuple[str, tuple[int, int]]:
    path.mkdir()
    for name in names:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("")
    found = path.stat()
    return str(path), (found.st_dev, found.st_ino)


def test_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    remove_folder(*folder_with(tmp_path / "a", "owner", "dask.yaml", "logs/one"))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("stays", ["dask.yaml", "logs/one"])
def test_what_says_whose_it_is_goes_last(stays: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, identity = folder_with(tmp_path / "a", "owner", stays)
    unlink, listdir = os.unlink, os.listdir

    def busy(path: str, *, dir_fd: int | None = None) -> None:
        if os.path.basename(path) == os.path.basename(stays):
            raise OSError(errno.EBUSY, "Device or resource busy")
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", busy)
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listdir(path), reverse=True))
    with pytest.raises(OSError):
        remove_folder(folder, identity)
    assert (tmp_path / "a" / "owner").exists()


def test_another_folder_at_its_path_stays(tmp_path: Path) -> None:
    folder, (device, inode) = folder_with(tmp_path / "a", "owner")
    remove_folder(folder, (device, inode + 1))
    assert (tmp_path / "a" / "owner").exists()


@pytest.mark.parametrize("lists", [["jobs"], ["jobs-gpu_1"], ["jobs", "jobs-gpu"]])
def test_lists_of_jobs_stay_with_their_owner_alone(lists: list[str], tmp_path: Path) -> None:
    """The jobs that still waited in the queue were named nowhere any more, and started for a cluster that was gone."""
    others = ["dask.yaml", "key.pem", "jobs.lock", ".jobs.new", "jobs-1", "logs/jobs"]
    remove_folder(*folder_with(tmp_path / "a", "owner", *lists, *others))
    assert sorted(os.listdir(tmp_path / "a")) == [*lists, "owner"]


@pytest.mark.parametrize("names", [["jobs"], ["owner", "jobs.lock"]])
def test_what_is_no_list_of_a_known_launch_does_not_keep_it(names: list[str], tmp_path: Path) -> None:
    remove_folder(*folder_with(tmp_path / "a", *names))
    assert not (tmp_path / "a").exists()
