"""The few Linux calls that Python's standard library does not offer, through ctypes (prctl(2), mallopt(3))."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import struct
import sys
import threading
from typing import Any, NamedTuple

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_M_TRIM_THRESHOLD = -1
_UNLIMITED = 2**64 - 1
# The numbers of these system calls, which all of Linux's architectures share but alpha.
_PIDFD_SEND_SIGNAL = 424
_PIDFD_OPEN = 434

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


# Python has the following three only where the C library's headers that it was built with knew them, as those of
# conda's did not.


def pidfd_open(pid: int) -> int:
    """Return a descriptor that becomes readable when a process ends (pidfd_open(2)); raises OSError."""
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    return _checked(_call(_PIDFD_OPEN, pid, 0))


def pidfd_send_signal(descriptor: int, number: int) -> None:
    """Send a signal to the process of a descriptor (pidfd_send_signal(2)); raises OSError."""
    if hasattr(signal, "pidfd_send_signal"):
        signal.pidfd_send_signal(descriptor, number)
    else:
        _checked(_call(_PIDFD_SEND_SIGNAL, descriptor, number, 0, 0))


def limit_of(pid: int, limit: int) -> tuple[int, int]:
    """Return the soft and hard resource limit of a process (prlimit(2)); raises OSError."""
    if hasattr(resource, "prlimit"):
        return resource.prlimit(pid, limit)
    found = (ctypes.c_uint64 * 2)()
    _checked(_libc.prlimit64(ctypes.c_int(pid), ctypes.c_int(limit), None, found))
    soft, hard = (resource.RLIM_INFINITY if value == _UNLIMITED else int(value) for value in found)
    return soft, hard


def _call(*words: int) -> int:
    """Make a system call by its number, which comes first."""
    return int(_libc.syscall(*(ctypes.c_long(word) for word in words)))


def _checked(result: int) -> int:
    """Return what a call of the C library gave; raises OSError for its error, as Python's own functions do."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def be_usual_in_forks() -> None:
    """
    Give what a task forks the usual actions of SIGINT and SIGTERM back, in place of the handlers that are set now:
    multiprocessing ends its processes by SIGTERM, and waits for them.

    One that comes before the fork has them waits for that: our handlers would lose it, and tell this process's event
    loop of it. A handler that a task sets later is its own, and is inherited.
    """
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = {number: signal.getsignal(number) for number in usual}
    masks = threading.local()

    def hold() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, usual)

    def let_go() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def restore() -> None:
        # It leads to this process's event loop.
        signal.set_wakeup_fd(-1)
        waiting = signal.sigpending()
        for number, handler in ours.items():
            if signal.getsignal(number) is handler:
                # An exception of Python's would be lost here.
                signal.signal(number, signal.SIG_DFL if number in waiting else usual[number])
        let_go()

    os.register_at_fork(before=hold, after_in_parent=let_go, after_in_child=restore)


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
