"""The fork itself: what a new child keeps of the fork server, and what it must let go."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterable
from typing import Any, NoReturn

from tsdask_mpi import child, linux
from tsdask_mpi.channel import Channel, SlotLine
from tsdask_mpi.children import MARK
from tsdask_mpi.requests import Start

SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)


def fork(start: Start, mark: str, null: int, ours: Iterable[Any], baseline: Any) -> tuple[int, socket.socket]:
    """
    Fork a child for a request; returns its pid and our end of its line. `ours` are the server's own sockets, closed in
    the child.

    Raises OSError when there can be no more processes.
    """
    parent = os.getpid()
    line, theirs = socket.socketpair()
    try:
        pid = os.fork()
    except OSError:
        line.close()
        theirs.close()
        raise
    if pid == 0:
        _become(start, mark, null, [line, *ours], theirs, parent, baseline)
    theirs.close()
    return pid, line


def _become(
    start: Start, mark: str, null: int, ours: list[Any], line: socket.socket, parent: int, baseline: Any
) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL if number != signal.SIGPIPE else signal.SIG_IGN)
        linux.leave_signals_to_rank()
        linux.leave_group()
        linux.die_with_parent(parent)
        # Not by the server, which may get the processor only when its child has said more.
        channel = Channel(start.control, start.rest)
        channel.send({"event": "forked", "pid": os.getpid()})
        output = start.stdio.fileno()
        os.set_blocking(output, True)
        for target, source in ((0, null), (1, output), (2, output)):
            os.dup2(source, target)
        for held in (*ours, start.stdio):
            held.close()
        os.close(null)
        start.request.setdefault("env", {})[MARK] = mark
        child.run(start.request, channel, SlotLine(line), start.rank, baseline)
    finally:
        os._exit(70)
