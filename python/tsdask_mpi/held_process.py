"""Other processes, each held so that no later one with the same number can be meant (pidfd_open(2))."""

from __future__ import annotations

import errno
import os
import signal
from typing import NamedTuple

from tsdask_mpi import linux


class Stat(NamedTuple):
    """What a process's line of status says (proc(5), /proc/pid/stat)."""

    state: str
    parent: int
    start: int


class HeldProcess:
    """
    A process that need not be a child of this one.

    `descriptor` becomes readable when it ends. It is None where the kernel has no pidfd_open (before 5.3), or a
    container's filter refuses it: then the process is known by the time at which it started, and `ended` has to be
    asked.
    """

    def __init__(self, pid: int) -> None:
        """Raise ProcessLookupError when there is no such process."""
        self.pid = pid
        self.descriptor: int | None = None
        try:
            self.descriptor = linux.pidfd_open(pid)
        except ProcessLookupError:
            raise
        except OSError:
            # Too many open files would be no reason to take it for gone, either.
            pass
        found = stat_of(pid)
        if found is None:
            self.close()
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        self._start = found.start

    def close(self) -> None:
        """Let go of it."""
        if self.descriptor is not None:
            os.close(self.descriptor)

    def ended(self) -> bool:
        """Say whether it has ended, whether or not its parent has asked for its code."""
        found = stat_of(self.pid)
        return found is None or found.start != self._start or found.state in "ZX"

    def kill(self) -> None:
        """Send it SIGKILL; raises ProcessLookupError when it is gone."""
        if self.descriptor is not None:
            linux.pidfd_send_signal(self.descriptor, signal.SIGKILL)
        elif self.ended():
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        else:
            os.kill(self.pid, signal.SIGKILL)


def stat_of(pid: int) -> Stat | None:
    """Return what proc(5) says of a process: fields 3, 4 and 22 of its stat; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            fields = file.read().rpartition(") ")[2].split()
        return Stat(fields[0], int(fields[1]), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None
