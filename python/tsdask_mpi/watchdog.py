"""What must not outlive a rank that is killed outright: processes that it started itself, and files of its launch.

A rank that runs the user's script keeps a connection open with `{"op": "watch", "pid": …}`; when it closes and the
script still runs, the script and its descendants are killed. A leader names what it owns with `{"op": "own", …}`; it is
removed with the host's folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass, field

from tsdask_mpi.compat.resource_tracker import is_tracker
from tsdask_mpi.contract import ServerCommandDisown, ServerCommandOwn
from tsdask_mpi.held_process import HeldProcess, stat_of


@dataclass(eq=False)
class WatchedProcess:
    """A process that dies with its rank, and its rank's connection."""

    process: HeldProcess
    connection: socket.socket

    def close(self) -> None:
        """Let go of the process and of the connection."""
        self.process.close()
        self.connection.close()


def take(pid: int, rank: int, connection: socket.socket) -> WatchedProcess | None:
    """Watch over a child of the process `rank`; None when there is no such child."""
    try:
        process = HeldProcess(pid)
    except ProcessLookupError:
        return None
    if parent_of(pid) != rank:
        process.close()
        return None
    return WatchedProcess(process, connection)


def kill(watched: WatchedProcess) -> None:
    """
    Kill a process whose rank is gone, and all that descends from it but resource trackers, which end by themselves.
    """
    processes = [pid for pid in descendants(watched.process.pid) if not is_tracker(pid)]
    try:
        watched.process.kill()
    except ProcessLookupError:
        # It had ended by itself: it meant to leave what it left running.
        return
    for pid in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def parent_of(pid: int) -> int | None:
    """Return the parent of a process, or None when it is gone."""
    found = stat_of(pid)
    return None if found is None else found.parent


def descendants(pid: int) -> list[int]:
    """Return all processes that descend from `pid`, without it."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (parent := parent_of(int(name))) is not None:
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        mine = children.get(waiting.pop(), [])
        found += mine
        waiting += mine
    return found


# The scheduler.json of a cluster with ten thousand workers has about 10 MB.
_LARGEST = 64 * 1024 * 1024


@dataclass
class CleanupRegistry:
    """The paths that a launch leaves behind when its leader is killed."""

    folders: list[tuple[str, tuple[int, int]]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    scheduler_files: list[tuple[str, str]] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)

    def add(self, command: ServerCommandOwn | ServerCommandDisown) -> None:
        """
        Take a command `own`: `paths` are folders with their `identities` (`<device>:<inode>`), `links` symbolic links,
        `scheduler_file` or `file` with `launch` is removed only if it is still that launch's. `disown` takes the
        folders in `paths` back.
        """
        if command["op"] == "disown":
            self.folders = [one for one in self.folders if one[0] not in (command.get("paths") or [])]
            return
        for folder, which in zip(command.get("paths") or [], command.get("identities") or [], strict=False):
            device, _, inode = str(which).partition(":")
            if isinstance(folder, str) and os.path.isabs(folder) and device.isdecimal() and inode.isdecimal():
                self.folders.append((folder, (int(device), int(inode))))
        self.links += [path for path in command.get("links") or [] if isinstance(path, str) and os.path.isabs(path)]
        path, launch = command.get("scheduler_file"), command.get("launch")
        if isinstance(path, str) and isinstance(launch, str):
            self.scheduler_files.append((path, launch))
        path = command.get("file")
        if isinstance(path, str) and isinstance(launch, str):
            self.files.append((path, launch))

    def remove(self) -> None:
        """Remove everything; what is gone already, or belongs to another launch by now, is left alone."""
        for path, launch in self.scheduler_files:
            with suppress(OSError, ValueError, AttributeError):
                # Somebody else may have put a pipe or a link there meanwhile.
                with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8") as file:
                    found = os.fstat(file.fileno())
                    plain = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_size < _LARGEST
                    ours = plain and json.load(file).get("tsdask", {}).get("launch") == launch
                if ours:
                    os.unlink(path)
        for path, launch in self.files:
            with (
                suppress(OSError, ValueError),
                open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8") as file,
            ):
                found = os.fstat(file.fileno())
                if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and launch in file.read(_LARGEST):
                    os.unlink(path)
        for path in self.links:
            with suppress(OSError):
                if os.path.islink(path):
                    os.unlink(path)
        for folder, identity in self.folders:
            with suppress(OSError):
                remove_folder(folder, identity)


# A cluster's list of worker jobs, and those of its groups (src/batch/job-list-path.ts); locks have other names.
_JOB_LIST = re.compile(r"jobs(-[A-Za-z][A-Za-z0-9_-]{0,63})?")


def remove_folder(path: str, identity: tuple[int, int]) -> None:
    """
    Remove the cluster folder of that device and inode; raises OSError when it cannot be, and leaves another one that
    stands at its path by now alone. Lists of worker jobs stay, and what says whose they are: the next launch, or
    `tsdask-mpi stop`, cancels these jobs, which would start for a cluster that is gone, and removes the folder.

    In a folder that a group shares, its members can rename: by path alone, what they put there would be removed.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(folder)
        if (found.st_dev, found.st_ino) != identity:
            return
        names = os.listdir(folder)
        # Without an owner nobody could tell that they are a dead launch's.
        lists = {name for name in names if _JOB_LIST.fullmatch(name)} if "owner" in names else set()
        for name in names:
            if name == "owner" or name in lists:
                continue
            if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
                shutil.rmtree(f"/proc/self/fd/{folder}/{name}", ignore_errors=True)
            else:
                os.unlink(name, dir_fd=folder)
        if lists:
            return
        # What says whose the folder is goes last: of one that is left, the next launch must know that it may remove it.
        if os.listdir(folder) == ["owner"]:
            os.unlink("owner", dir_fd=folder)
        os.rmdir(path)
    finally:
        os.close(folder)
