"""
Connections to the fork server until they have become a request: read, checked, paired, and dropped when they take too
long.

Nothing here grows without bound: how many connections wait, how many of one process, how many bytes they hold, and for
how long.
"""

from __future__ import annotations

import os
import resource
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast

from tsdask_mpi.children import tell
from tsdask_mpi.contract import REQUEST_SECONDS, CompanionRequestWatch, ForkRequest, Refusal
from tsdask_mpi.linux import Peer, owner_of, peer_of
from tsdask_mpi.wire import LineBuffer, Malformed, Message, decode

MOST_PENDING = 4096
# A host's agent asks for all its ranks at once, with two connections for each.
MOST_PENDING_PER_PEER = 2048
MOST_BYTES = 64 * 1024 * 1024
READ_BYTES = 256 * 1024
KINDS: tuple[Literal["scheduler", "worker"], ...] = ("scheduler", "worker")

Key = tuple[int, str]


@dataclass(eq=False)
class Connection:
    """A connection that has not become a request, or half of one."""

    socket: socket.socket
    peer: Peer
    deadline: float
    buffer: LineBuffer = field(default_factory=LineBuffer)
    request: Message = field(default_factory=dict)
    rest: bytes = b""


class Start(NamedTuple):
    """A whole request: both its connections, who sent it, and what came after the request's line."""

    id: str
    kind: str
    request: ForkRequest
    control: socket.socket
    stdio: socket.socket
    peer: Peer
    rest: bytes

    @property
    def rank(self) -> int:
        """
        The process whose cores and limits the child takes, and whose cgroup and memory policy it is to have: the one
        that asks, or the rank that it asks for.
        """
        return int(self.request.get("rank_pid") or self.peer.pid)


class Requests:
    """All connections that are not yet a child's."""

    def __init__(self, epoll: select.epoll, seconds: float = REQUEST_SECONDS) -> None:
        self._epoll = epoll
        self._seconds = seconds
        self._most = min(MOST_PENDING, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3)
        self._open: dict[int, Connection] = {}
        self._stdio: dict[Key, Connection] = {}
        self._forks: dict[Key, Connection] = {}
        self._watches: list[Connection] = []
        self._of_peer: Counter[int] = Counter()

    def sockets(self) -> list[socket.socket]:
        """Return every socket that is held here."""
        return [connection.socket for connection in self._all()]

    def _all(self) -> list[Connection]:
        return [*self._open.values(), *self._stdio.values(), *self._forks.values(), *self._watches]

    def accept(self, listener: socket.socket) -> None:
        """Take all connections that wait; another user's, and those over the limits, are closed at once."""
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError:
                self._make_room()
                return
            peer = peer_of(connection)
            if (
                peer.uid != os.getuid()
                or sum(self._of_peer.values()) >= self._most
                or self._of_peer[peer.pid] >= MOST_PENDING_PER_PEER
            ):
                connection.close()
                continue
            connection.setblocking(False)
            fd = connection.fileno()
            self._of_peer[peer.pid] += 1
            self._open[fd] = Connection(connection, peer, time.monotonic() + self._seconds)
            self._epoll.register(fd, select.EPOLLIN)
            self.readable(fd)

    def _make_room(self) -> None:
        """Drop the connection that has waited longest, when the system has no descriptor for another."""
        if self._open:
            self._drop(next(iter(self._open.values())), "busy", "the fork server has too many connections")

    def readable(self, fd: int) -> None:
        """Read what a connection has to say."""
        connection = self._open.get(fd)
        if connection is None:
            return
        try:
            data = connection.socket.recv(READ_BYTES)
            if not data:
                self._drop(connection)
            elif lines := connection.buffer.feed(data):
                connection.rest = b"".join(line + b"\n" for line in lines[1:]) + connection.buffer.rest()
                self._take(connection, decode(lines[0]))
            elif sum(other.buffer.held for other in self._open.values()) > MOST_BYTES:
                self._drop(connection, "busy", "the requests that are not whole hold too many bytes")
        except BlockingIOError:
            return
        except Malformed as error:
            self._drop(connection, "malformed", str(error))
        except OSError:
            self._drop(connection)

    def _take(self, connection: Connection, message: Message) -> None:
        fault = fault_of(message)
        if fault:
            raise Malformed(fault)
        self._forget(connection)
        self._of_peer[connection.peer.pid] += 1
        connection.request = message
        if message["op"] == "watch":
            self._watches.append(connection)
            return
        key = (connection.peer.pid, str(message["id"]))
        table = self._stdio if message["op"] == "stdio" else self._forks
        if key in table:
            self._drop(table[key], "malformed", "another connection has the same id")
        table[key] = connection

    def _drop(self, connection: Connection, reason: Refusal | None = None, message: str = "") -> None:
        self._forget(connection)
        if reason:
            tell(connection.socket, {"event": "refused", "reason": reason, "message": message})
        connection.socket.close()

    def _forget(self, connection: Connection) -> None:
        if self._open.pop(connection.socket.fileno(), None) is not None:
            self._epoll.unregister(connection.socket.fileno())
        key = (connection.peer.pid, str(connection.request.get("id")))
        for table in (self._stdio, self._forks):
            if table.get(key) is connection:
                del table[key]
        self._of_peer[connection.peer.pid] -= 1
        if self._of_peer[connection.peer.pid] <= 0:
            del self._of_peer[connection.peer.pid]

    def watches(self) -> list[tuple[socket.socket, Peer, CompanionRequestWatch]]:
        """Return the requests to watch over a process, each once."""
        taken, self._watches = self._watches, []
        for connection in taken:
            self._forget(connection)
        return [
            (connection.socket, connection.peer, cast("CompanionRequestWatch", connection.request))
            for connection in taken
        ]

    def next_start(self, workers: bool) -> Start | None:
        """Return the next whole request, schedulers first; workers only when they are wanted now."""
        wanted = KINDS if workers else KINDS[:1]
        whole = [(key, connection) for key, connection in self._forks.items() if key in self._stdio]
        whole = [(key, connection) for key, connection in whole if connection.request["kind"] in wanted]
        if not whole:
            return None
        key, control = min(whole, key=lambda item: KINDS.index(item[1].request["kind"]))
        stdio = self._stdio[key]
        self._forget(stdio)
        self._forget(control)
        request = cast("ForkRequest", control.request)
        return Start(key[1], request["kind"], request, control.socket, stdio.socket, control.peer, control.rest)

    def _late(self) -> list[Connection]:
        return [
            *self._open.values(),
            *(connection for key, connection in self._stdio.items() if key not in self._forks),
            *(connection for key, connection in self._forks.items() if key not in self._stdio),
        ]

    def wait(self) -> float | None:
        """Return the seconds until the next deadline, or None when there is none."""
        deadlines = [connection.deadline for connection in self._late()]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def drop_late(self) -> None:
        """Close what has not become a request in time."""
        now = time.monotonic()
        for connection in self._late():
            if connection.deadline <= now:
                what = (
                    "the other connection of this request did not come"
                    if connection.request
                    else "the request was not whole"
                )
                self._drop(connection, "late", f"{what} within {self._seconds:g} s")


CHECKS: tuple[tuple[Callable[[Message], bool], str], ...] = (
    (lambda message: message.get("kind") in KINDS, "kind is neither scheduler nor worker"),
    (lambda message: is_environment(message.get("env")), "env is not a table of strings without NUL"),
    (lambda message: is_own_process(message.get("rank_pid")), "rank_pid is not a process of this user"),
    (lambda message: isinstance(message.get("params", {}), dict), "params is not an object"),
    (lambda message: isinstance(message.get("cwd") or "", str), "cwd is not a string"),
    (lambda message: is_list_of_strings(message.get("sys_path") or []), "sys_path is not a list of strings"),
)


def fault_of(message: Message) -> str | None:
    """Return what is wrong with a first line, or None."""
    if message.get("op") == "watch":
        return None if type(message.get("pid")) is int and message["pid"] > 1 else "pid is not a process id"
    if message.get("op") not in ("stdio", "fork"):
        return "op is neither stdio, fork nor watch"
    if not isinstance(message.get("id"), str) or not 0 < len(message["id"]) <= 256:
        return "id is not a string of 1 to 256 characters"
    if message["op"] == "stdio":
        return None
    return next((fault for holds, fault in CHECKS if not holds(message)), None)


def is_environment(value: object) -> bool:
    """Tell whether a value can be a process's environment."""
    return isinstance(value, dict) and all(
        isinstance(text, str) and "\0" not in text and name and "=" not in name for name, text in value.items()
    )


def is_own_process(value: object) -> bool:
    """Tell whether a value is absent, or the id of a process of this user."""
    return value is None or (type(value) is int and owner_of(value) == os.getuid())


def is_list_of_strings(value: object) -> bool:
    """Tell whether a value is a list that holds strings alone."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
