"""The fork server's children: who they are, how they end, and that nothing of them stays.

A child leads a process group of its own. What it leaves behind in it is killed with it; what left the group and lost
its parent comes to the fork server (PR_SET_CHILD_SUBREAPER, prctl(2)) and is known by the mark in its environment; one
that has none there any more is killed with the last child. One process is spared, and ends by itself right after: that
which removes shared memory and semaphores (compat/resource_tracker.py).
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import time
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass

from tsdask_mpi.compat.resource_tracker import is_tracker
from tsdask_mpi.contract import ChildEvent
from tsdask_mpi.start_throttle import Slot
from tsdask_mpi.wire import encode

MARK = "TSDASK_CHILD"
MOST_DESCRIPTORS = 65536


@dataclass
class Child:
    """
    One forked child, its rank's control connection (the server only writes the end of it), and its slot among the
    starters.
    """

    pid: int
    control: socket.socket
    slot: Slot
    mark: str


def kill_group(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to the process group that `pid` leads, and to `pid` if it does not lead one yet."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, number)
            return
        except (ProcessLookupError, PermissionError):
            continue


def in_group(group: int, pids: Iterable[int]) -> list[int]:
    """Return those of the processes that are in a process group."""
    found = []
    for pid in pids:
        with suppress(ProcessLookupError):
            if os.getpgid(pid) == group:
                found.append(pid)
    return found


def kill_all_but_trackers(group: int) -> None:
    """Kill what is left of a process group, and let a resource tracker in it do its work."""
    running = in_group(group, (int(name) for name in os.listdir("/proc") if name.isdigit()))
    trackers = [pid for pid in running if is_tracker(pid)]
    if not trackers:
        kill_group(group)
        return
    for pid in running:
        if pid not in trackers:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def await_trackers(seconds: float) -> None:
    """
    Wait until the trackers that came to us have ended; those that have not by then are killed: somebody holds their
    pipe.
    """
    until = time.monotonic() + seconds
    while trackers := [pid for pid in offspring() if is_tracker(pid)]:
        if time.monotonic() > until:
            for pid in trackers:
                kill_group(pid)
            return
        time.sleep(0.005)


def ended(known: Container[int]) -> list[tuple[int, int, resource.struct_rusage]]:
    """
    Return (pid, wait status, what it used) of every process that has ended; a known child's process group is killed
    before its pid is given back.
    """
    gone: list[tuple[int, int, resource.struct_rusage]] = []
    while True:
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return gone
        if info is None:
            return gone
        if info.si_pid in known:
            # What has lost its parent has come to us; mostly there is nothing, and to look through all processes would
            # cost more than the rest.
            if in_group(info.si_pid, (pid for pid in offspring() if pid not in known)):
                kill_all_but_trackers(info.si_pid)
            else:
                kill_group(info.si_pid)
        gone.append(os.wait4(info.si_pid, 0))


def exit_event(status: int, used: resource.struct_rusage) -> ChildEvent:
    """
    Return the message that tells a rank how its child ended, its seconds of processor and its greatest resident memory
    in bytes (getrusage(2)).
    """
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    if os.WIFSIGNALED(status):
        return {"event": "exit", "code": None, "signal": os.WTERMSIG(status), "cpu": cpu, "peak": peak}
    return {"event": "exit", "code": os.WEXITSTATUS(status), "signal": None, "cpu": cpu, "peak": peak}


def tell(control: socket.socket, message: ChildEvent) -> None:
    """Send a line to a rank without ever waiting for it; a rank that is gone or does not read misses it."""
    try:
        control.send(encode(dict(message)), socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
    except OSError:
        return


def offspring() -> list[int]:
    """
    Return the pids of this process's children; none where the kernel does not list them (proc(5),
    CONFIG_PROC_CHILDREN).
    """
    try:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def mark_of(pid: int) -> str:
    """Return the mark of the child that a process descends from, or an empty string."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return ""
    prefix = MARK.encode() + b"="
    return next((v[len(prefix) :].decode(errors="replace") for v in variables if v.startswith(prefix)), "")


def kill_orphans(known: set[int], living: set[str]) -> None:
    """
    Kill every process that came to us as an orphan and does not descend from a living child. One whose environment has
    no mark may be a living child's: it is spared as long as there is one.
    """
    spared = {*living, ""} if living else living
    for pid in offspring():
        if pid not in known and mark_of(pid) not in spared and not is_tracker(pid):
            kill_group(pid)


def remove_folder(path: str | None) -> int | None:
    """
    Remove what a killed child left on disk, in a process of its own that ends by itself; returns its pid if there is
    one. Where there can be no more processes it stays until the host's folder goes, or Dask's next worker beside it
    removes it.

    distributed/diskutils.py: beside a work folder lies its lock, NAME.dirlock.
    """
    if not path or not os.path.lexists(path):
        return None
    try:
        pid = os.fork()
    except OSError:
        return None
    if pid:
        return pid
    os.closerange(3, MOST_DESCRIPTORS)
    try:
        shutil.rmtree(path, ignore_errors=True)
        os.unlink(f"{path}.dirlock")
    except OSError:
        os._exit(1)
    finally:
        os._exit(0)
