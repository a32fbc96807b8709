"""
A child's end of its control connection: events go out as they happen, commands come in on the event loop; and its line
to the fork server.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
from collections.abc import Callable
from typing import cast

from tsdask_mpi.contract import CONTROL_SEND_SECONDS, ChildCommand, ChildEvent
from tsdask_mpi.loop import first_of
from tsdask_mpi.wire import LineBuffer, Malformed, Message, decode, encode

logger = logging.getLogger("tsdask_mpi")


class Channel:
    """Events to the rank, commands from it. `rest` is what was read of the connection after the request's line."""

    def __init__(self, connection: socket.socket, rest: bytes = b"") -> None:
        self._connection = connection
        self._buffer = LineBuffer()
        self._rest = rest
        connection.setblocking(False)

    def send(self, message: ChildEvent) -> None:
        """
        Send one event; waits at most CONTROL_SEND_SECONDS for a rank that does not read, and drops the event when the
        rank is gone.
        """
        data = encode(dict(message))
        while data:
            try:
                sent = self._connection.send(data, socket.MSG_NOSIGNAL)
                data = data[sent:]
            except BlockingIOError:
                if not select.select([], [self._connection], [], CONTROL_SEND_SECONDS)[1]:
                    return
            except OSError:
                return

    def listen(self, on_command: Callable[[ChildCommand], None], on_close: Callable[[], None]) -> None:
        """
        Read commands on the running event loop: `on_command` is called for each, `on_close` once when the rank is gone.
        """
        loop = asyncio.get_running_loop()

        def heard(data: bytes) -> None:
            try:
                for line in self._buffer.feed(data):
                    on_command(cast("ChildCommand", decode(line)))
            except Malformed as error:
                logger.warning("a command that cannot be read: %s", error)

        def readable() -> None:
            try:
                data = self._connection.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                heard(data)
            else:
                loop.remove_reader(self._connection)
                on_close()

        heard(self._rest)
        loop.add_reader(self._connection, readable)

    def first(self) -> Message:
        """Read the first line, blocking; raises Malformed (also when the other end closes before it is whole)."""
        self._connection.setblocking(True)
        lines: list[bytes] = []
        while not lines:
            data = self._connection.recv(65536)
            if not data:
                raise Malformed("closed before the first line was whole")
            lines = self._buffer.feed(data)
        self._rest = b"".join(line + b"\n" for line in lines[1:]) + self._buffer.rest()
        self._buffer = LineBuffer()
        self._connection.setblocking(False)
        return decode(lines[0])


class SlotLine:
    """
    A child's line to the fork server: it asks for a slot among those that start at once, and says where its files are.

    Lines on a socket pair: `w` waiting, nothing to do yet; `a` may I go on (the server answers `g`); `d PATH` a folder
    to remove if I am killed; `r` I have started.
    """

    def __init__(self, connection: socket.socket | None) -> None:
        self._connection = connection
        if connection is not None:
            connection.setblocking(False)

    def waiting(self) -> None:
        """Give the slot up while there is nothing to do."""
        self._say(b"w")

    async def ask(self, stop: asyncio.Future[float]) -> None:
        """Wait for a slot, or until it is time to stop."""
        self._say(b"a")
        if self._connection is None:
            # There are no slots, or the fork server has just ended: the rank tells this process what comes of it.
            return
        go = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(self._connection, 1))
        # A fork server that is killed resets it; the rank tells this process what comes of that, too.
        go.add_done_callback(lambda done: done.cancelled() or done.exception())
        await first_of(go, stop)

    def folder(self, path: str | None) -> None:
        """Name the folder that is to be removed even when this process is killed."""
        if path:
            self._say(b"d " + os.fsencode(path))

    def done(self) -> None:
        """Give the slot up for good."""
        self._say(b"r")

    def _say(self, line: bytes) -> None:
        if self._connection is not None:
            try:
                self._connection.send(line + b"\n", socket.MSG_NOSIGNAL)
            except OSError:
                self._connection = None
