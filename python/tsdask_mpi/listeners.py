"""Keeps connections that have not proved themselves from taking all of a process's files, time and log.

Facts relied on:
- tornado/httpserver.py HTTPServer.handle_stream(stream, address) and .on_close(connection), connection.stream being the
  stream.
- Linux releases the files of a process that ends from the highest descriptor to the lowest (task_work, last in first
  out, since 4.3), and a file with its last descriptor.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import functools
import logging
import os
import resource
import select
from collections import Counter
from collections.abc import Callable
from typing import Any

from dask.utils import parse_timedelta

import dask
from tsdask_mpi.compat import accept as compat_accept
from tsdask_mpi.contract import UNPROVED_CROWDED_SECONDS, UNPROVED_SECONDS

SWEEP_SECONDS = 0.5
FULL_SECONDS = 0.5
ACCEPT_AT_ONCE = 128
MOST_UNPROVED = 1024
# distributed.yaml: comm.socket-backlog. Launches whose workers may connect more often than that at once set it to that
# number (src/dask/settings.ts).
USUAL_BACKLOG = 2048
SAY_SECONDS = 60.0
# A descriptor this high costs the kernel a table of a bit and a pointer for each below it; the last few are for several
# listeners.
MOST_DESCRIPTORS = 65536
RESERVED = 16
FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

logger = logging.getLogger("tsdask_mpi")


class Refusals:
    """
    Counts refused connections by kind; the numbers are said at once where that matters, and then at most once a minute.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._waiting = False

    def count(self, kind: str, at_once: bool = True) -> None:
        """Count one; `kind` is what the log says of it, now or (what also happens by mistake) within a minute."""
        self._counts[kind] += 1
        if self._waiting:
            return
        if at_once:
            self._tell()
        else:
            self._later()

    def _tell(self) -> None:
        self._waiting = bool(self._counts)
        if not self._counts:
            return
        told = ", ".join(f"{number} {kind}" for kind, number in self._counts.most_common())
        self._counts.clear()
        logger.warning("connections refused: %s; further ones are counted and said once a minute", told)
        self._later()

    def _later(self) -> None:
        try:
            asyncio.get_running_loop().call_later(SAY_SECONDS, self._tell)
            self._waiting = True
        except RuntimeError:
            self._waiting = False


refusals = Refusals()


class Gate:
    """
    The connections of one kind of listener that are not proved yet, the oldest first, and the listeners that wait for
    room.
    """

    def __init__(self, name: str, share: int) -> None:
        self._name = name
        self._share = share
        self._since: dict[Any, float] = {}
        self._resume: list[Callable[[], None]] = []
        self._sweeping = False

    @functools.cached_property
    def most(self) -> int:
        """
        Return how many may be unproved at once: a share of the files that this process may open, and no fewer than may
        come by right.
        """
        backlog = int(dask.config.get("distributed.comm.socket-backlog", USUAL_BACKLOG))
        wanted = backlog if backlog > USUAL_BACKLOG else MOST_UNPROVED
        return max(8, min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // self._share))

    @functools.cached_property
    def patience(self) -> float:
        """
        Return the seconds that one may be unproved: where thousands of workers are expected, Dask's own time-out is
        longer, and so is this.
        """
        return max(UNPROVED_SECONDS, float(parse_timedelta(dask.config.get("distributed.comm.timeouts.connect", 0))))

    def enter(self, stream: Any) -> None:
        """Take in a connection that was just accepted."""
        loop = asyncio.get_running_loop()
        self._since[stream] = loop.time()
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP_SECONDS, self._sweep)

    def leave(self, stream: Any) -> None:
        """Let go of a connection: it has proved itself, or is closed."""
        if self._since.pop(stream, None) is not None and self._resume and not self.crowded():
            self._open()

    def crowded(self) -> bool:
        """Tell whether nobody else is to be accepted now."""
        return len(self._since) >= self.most

    def wait(self, resume: Callable[[], None]) -> None:
        """Call `resume` when there is room again."""
        self._resume.append(resume)

    def _open(self) -> None:
        waiting, self._resume = self._resume, []
        for resume in waiting:
            resume()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        # While others wait for a place, who has it and sends nothing is soon gone; what has been sent and not read yet
        # is our delay, not theirs.
        patience = UNPROVED_CROWDED_SECONDS if self._resume else self.patience
        for stream, since in list(self._since.items()):
            if now - since < patience:
                break
            if stream.closed():
                self.leave(stream)
            elif now - since >= self.patience or not has_unread(stream):
                refusals.count(f"that did not prove themselves in time ({self._name})")
                stream.close()
                self.leave(stream)
        self._sweeping = bool(self._since)
        if self._sweeping:
            loop.call_later(SWEEP_SECONDS, self._sweep)
        elif self._resume:
            self._open()


def has_unread(stream: Any) -> bool:
    """Tell whether the system holds bytes of this connection that were not read yet."""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    return bool(poll.poll(0))


dask_gate = Gate("Dask", 4)
pages_gate = Gate("pages", 8)
# Whether what listens here is a scheduler, whose clients try again at once when it is killed.
clients_return = False


def gate_of(callback: Any) -> Gate | None:
    """
    Return the gate that a tornado server's connections are counted at, from the function that gets them; None for one
    that is not ours.
    """
    server = getattr(callback, "__self__", None)
    if compat_accept.is_listener_of(server):
        return dask_gate
    return getattr(server, "tsdask_gate", None)


def accept_gently(listener: Any, callback: Callable[[Any, Any], None]) -> Callable[[], None]:
    """
    Accept on a listening socket as tornado's add_accept_handler does, but pause while its gate is crowded or no
    descriptor is left.
    """
    from tornado.ioloop import IOLoop

    loop = IOLoop.current()
    gate = gate_of(callback)
    first_to_go = hold_high(listener) if clients_return else None
    removed = False
    paused = False

    def resume() -> None:
        nonlocal paused
        if paused and not removed:
            paused = False
            loop.add_handler(listener, accept, IOLoop.READ)

    def pause() -> None:
        nonlocal paused
        paused = True
        loop.remove_handler(listener)

    def accept(_: Any, __: int) -> None:
        for _ in range(ACCEPT_AT_ONCE):
            if removed:
                return
            if gate is not None and gate.crowded():
                pause()
                gate.wait(resume)
                return
            try:
                connection, address = listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in FULL:
                    raise
                refusals.count("that had to wait because no file descriptor is left")
                pause()
                loop.call_later(FULL_SECONDS, resume)
                return
            try:
                callback(connection, address)
            except OSError:
                refusals.count("that broke at once")
                connection.close()

    def remove() -> None:
        nonlocal removed
        if not removed and not paused:
            loop.remove_handler(listener)
        if not removed and first_to_go is not None:
            os.close(first_to_go)
        removed = True

    loop.add_handler(listener, accept, IOLoop.READ)
    return remove


def hold_high(listener: Any) -> int | None:
    """
    Have a listening socket go before the connections when this process is killed; returns the descriptor that does it.

    Else whoever sees his connection go and tries again at once is let in by a process that is no more, which Dask's
    Client does not survive (with TLS: "IOStream is not idle", an error that it does not take for a lost connection).
    """
    highest = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MOST_DESCRIPTORS) - RESERVED
    try:
        return fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, highest)
    except (OSError, ValueError):
        return None


def expect_clients_back() -> None:
    """Have what listens from now on be gone before its connections when this process is killed."""
    global clients_return
    clients_return = True


@functools.cache
def install() -> None:
    """
    Put the gates before every listener that this process opens from now on; without what they rely on, one warning, and
    Dask stays as it is.
    """
    if lacks := compat_accept.probe():
        logger.warning("this release has no %s: idle connections of strangers are not limited", lacks)
        return
    compat_accept.watch_connections(dask_gate.enter, dask_gate.leave, accept_gently)
