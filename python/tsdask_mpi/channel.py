"""A child's end of its control connection: events go out as they happen, orders come in on the event loop."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from typing import Callable

from tsdask_mpi.wire import LineBuffer, Malformed, Message, decode, encode

SEND_SECONDS = 5.0


class Channel:
    """Events to the rank, orders from it; `on_order` is called for each order, `on_close` once when the rank is gone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = LineBuffer()
        connection.setblocking(False)

    def send(self, message: Message) -> None:
        """Send one event; waits at most SEND_SECONDS for a rank that does not read, and drops the event when the rank is gone."""
        data = encode(message)
        while data:
            try:
                sent = self._connection.send(data, socket.MSG_NOSIGNAL)
                data = data[sent:]
            except BlockingIOError:
                if not select.select([], [self._connection], [], SEND_SECONDS)[1]:
                    return
            except OSError:
                return

    def listen(self, on_order: Callable[[Message], None], on_close: Callable[[], None]) -> None:
        """Start to read orders on the running event loop."""
        loop = asyncio.get_running_loop()

        def readable() -> None:
            try:
                data = self._connection.recv(65536)
                lines = self._buffer.feed(data) if data else None
            except BlockingIOError:
                return
            except (OSError, Malformed):
                lines = None
            if lines is None:
                loop.remove_reader(self._connection)
                on_close()
                return
            for line in lines:
                try:
                    on_order(decode(line))
                except Malformed:
                    continue

        loop.add_reader(self._connection, readable)

    def first(self) -> Message:
        """Read the first line, blocking; raises Malformed (also when the other end closes before it is whole)."""
        self._connection.setblocking(True)
        line = b""
        while not line.endswith(b"\n"):
            data = self._connection.recv(65536, socket.MSG_PEEK)
            if not data:
                raise Malformed("closed before the first line was whole")
            cut = data.find(b"\n")
            line += self._connection.recv(len(data) if cut < 0 else cut + 1)
            if len(line) > 4 * 1024 * 1024:
                raise Malformed("the first line is too long")
        self._connection.setblocking(False)
        return decode(line)


class Turn:
    """A child's line to the fork server: it asks for a place among those that start at once, and says where its files are.

    Lines on a socket pair: `w` waiting, nothing to do yet; `a` may I go on (the server answers `g`); `d PATH` a folder to remove if I
    am killed; `r` I have started.
    """

    def __init__(self, connection: socket.socket | None) -> None:
        self._connection = connection
        if connection is not None:
            connection.setblocking(False)

    def waiting(self) -> None:
        """Give the place up while there is nothing to do."""
        self._say(b"w")

    async def ask(self, stop: asyncio.Future[float]) -> None:
        """Wait for a place, or until it is time to stop."""
        if self._connection is None:
            return
        self._say(b"a")
        go = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(self._connection, 1))
        await asyncio.wait([go, stop], return_when=asyncio.FIRST_COMPLETED)

    def folder(self, path: str | None) -> None:
        """Name the folder that is to be removed even when this process is killed."""
        if path:
            self._say(b"d " + os.fsencode(path))

    def done(self) -> None:
        """Give the place up for good."""
        self._say(b"r")

    def _say(self, line: bytes) -> None:
        if self._connection is not None:
            try:
                self._connection.send(line + b"\n", socket.MSG_NOSIGNAL)
            except OSError:
                self._connection = None
