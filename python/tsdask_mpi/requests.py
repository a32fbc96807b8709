"""Connections to the fork server until they have become a request: read, checked, paired, and dropped when they take too long."""

from __future__ import annotations

import os
import select
import socket
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from tsdask_mpi.family import tell
from tsdask_mpi.linux import Peer, peer_of
from tsdask_mpi.wire import LineBuffer, Malformed, Message, decode

REQUEST_SECONDS = 10.0
MOST_PENDING = 1024
MOST_PENDING_PER_PEER = 256
KINDS = ("scheduler", "worker")


@dataclass
class Connection:
    """A connection that has not become a request, or half of one."""

    socket: socket.socket
    peer: Peer
    deadline: float
    buffer: LineBuffer = field(default_factory=LineBuffer)
    request: Message | None = None


class Start(NamedTuple):
    """A whole request: both its connections, and who sent it."""

    id: str
    kind: str
    request: Message
    control: socket.socket
    stdio: socket.socket
    peer: Peer


class Requests:
    """All connections that are not yet a child's."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self._open: dict[int, Connection] = {}
        self._stdio: dict[tuple[int, str], Connection] = {}
        self._forks: dict[tuple[int, str], Connection] = {}

    def sockets(self) -> list[socket.socket]:
        """Return every socket that is held here."""
        return [c.socket for table in (self._open, self._stdio, self._forks) for c in table.values()]

    def accept(self, listener: socket.socket) -> None:
        """Take all connections that wait; another user's, or too many of one process, are closed at once."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setblocking(False)
            peer = peer_of(connection)
            held = [c for table in (self._open, self._stdio, self._forks) for c in table.values()]
            if peer.uid not in (os.getuid(), 0) or len(held) >= MOST_PENDING or sum(c.peer.pid == peer.pid for c in held) >= MOST_PENDING_PER_PEER:
                connection.close()
                continue
            fd = connection.fileno()
            self._open[fd] = Connection(connection, peer, time.monotonic() + REQUEST_SECONDS)
            self._epoll.register(fd, select.EPOLLIN)
            self.readable(fd)

    def readable(self, fd: int) -> None:
        """Read what a connection has to say."""
        connection = self._open.get(fd)
        if connection is None:
            return
        try:
            data = connection.socket.recv(1 << 18)
            lines = connection.buffer.feed(data) if data else None
            if lines is None:
                self._drop(fd, None)
            elif lines:
                self._take(fd, connection, decode(lines[0]))
        except BlockingIOError:
            return
        except Malformed as error:
            self._drop(fd, {"event": "refused", "reason": "malformed", "message": str(error)})
        except OSError:
            self._drop(fd, None)

    def _take(self, fd: int, connection: Connection, message: Message) -> None:
        fault = fault_of(message)
        if fault:
            raise Malformed(fault)
        self._epoll.unregister(fd)
        del self._open[fd]
        key = (connection.peer.pid, message["id"])
        connection.request = message
        table = self._stdio if message["op"] == "stdio" else self._forks
        old = table.pop(key, None)
        if old is not None:
            old.socket.close()
        table[key] = connection

    def _drop(self, fd: int, answer: Message | None) -> None:
        connection = self._open.pop(fd)
        self._epoll.unregister(fd)
        if answer is not None:
            tell(connection.socket, answer)
        connection.socket.close()

    def next_start(self, workers: bool) -> Start | None:
        """Return the next whole request, schedulers first; workers only when they are wanted now."""
        whole = [(key, c) for key, c in self._forks.items() if key in self._stdio]
        for kind in KINDS if workers else KINDS[:1]:
            for key, connection in whole:
                request = connection.request
                if request is not None and request["kind"] == kind:
                    del self._forks[key]
                    stdio = self._stdio.pop(key)
                    return Start(key[1], kind, request, connection.socket, stdio.socket, connection.peer)
        return None

    def wait(self) -> float | None:
        """Return the seconds until the next deadline."""
        deadlines = [c.deadline for c in self._open.values()]
        deadlines += [c.deadline for key, c in self._stdio.items() if key not in self._forks]
        deadlines += [c.deadline for key, c in self._forks.items() if key not in self._stdio]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def drop_late(self) -> None:
        """Close what has not become a request in REQUEST_SECONDS."""
        now = time.monotonic()
        for fd in [fd for fd, c in self._open.items() if c.deadline <= now]:
            self._drop(fd, {"event": "refused", "reason": "late", "message": f"no whole request within {REQUEST_SECONDS:g} s"})
        for table, other in ((self._stdio, self._forks), (self._forks, self._stdio)):
            for key in [key for key, c in table.items() if c.deadline <= now and key not in other]:
                connection = table.pop(key)
                tell(connection.socket, {"event": "refused", "reason": "late", "message": "the other connection of this request did not come"})
                connection.socket.close()


def fault_of(message: Message) -> str | None:
    """Return what is wrong with a first line, or None."""
    if message.get("op") not in ("stdio", "fork"):
        return f"no such op: {message.get('op')!r}"
    if not isinstance(message.get("id"), str) or not message["id"]:
        return "no id"
    if message["op"] == "stdio":
        return None
    if message.get("kind") not in KINDS:
        return f"no such kind: {message.get('kind')!r}"
    env = message.get("env")
    if not isinstance(env, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in env.items()):
        return "env is not a table of strings"
    if not isinstance(message.get("params", {}), dict):
        return "params is not an object"
    if not isinstance(message.get("cwd", ""), str):
        return "cwd is not a string"
    return None
