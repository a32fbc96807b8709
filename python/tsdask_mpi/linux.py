"""The few Linux calls that Python's standard library does not offer, through ctypes (prctl(2), mallopt(3))."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import struct
import sys
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_M_TRIM_THRESHOLD = -1

_libc = ctypes.CDLL(None, use_errno=True)


class Peer(NamedTuple):
    """Who is at the other end of a unix socket, as the kernel saw it when it connected (SO_PEERCRED, unix(7))."""

    pid: int
    uid: int
    gid: int


class Descriptor(NamedTuple):
    """A bare file descriptor, to be closed as a socket is."""

    number: int

    def close(self) -> None:
        """Close it."""
        os.close(self.number)


def owner_of(pid: int) -> int | None:
    """Return the user id of a process (proc(5): the owner of its folder), or None when there is no such process."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def peer_of(connection: socket.socket) -> Peer:
    """Return the process at the other end of a connected unix socket."""
    return Peer(*struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """
    Have the kernel send this process a signal when its parent (whose pid is given) ends; exits at once when it is gone
    already.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def leave_group() -> None:
    """
    Make this process the leader of a process group of its own where it is in its parent's, so that signals to that one
    pass it by.

    It stays in its session, by which PBS counts and kills; what has a session already leads a group. A terminal of that
    session must not stop it.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
        for number in (signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)


def leave_signals_to_rank() -> None:
    """
    Do nothing at the signals that a batch system sends to every process of a job: the rank hears them too, and decides.

    A handler, not SIG_IGN, which the programs that tasks start would inherit.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)


def name_process(name: str) -> None:
    """Have tools such as top and `ps -o comm` show this name, of at most 15 bytes."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def adopt_orphans() -> None:
    """Make every orphaned descendant a child of this process."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def trim_threshold(size: int) -> None:
    """
    Have malloc give memory back to the system once `size` bytes at the top of the heap are free; no effect outside
    glibc.
    """
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, size)


def thread_count() -> int:
    """Return how many threads this process has now, Python's and others'."""
    return len(os.listdir("/proc/self/task"))


def allow_many_files() -> None:
    """Raise the limit of open files as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError) as error:
            print(f"the limit of {soft} open files stays: {error}", file=sys.stderr, flush=True)
