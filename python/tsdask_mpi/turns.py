"""How many children start at once: a scheduler before all, then workers in a pipeline of a few per core.

A worker that waits for the scheduler's address gives its place up until it has it. See `channel.Turn` for a child's side.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Literal

Place = Literal["starting", "waiting", "queued", "started"]


@dataclass
class Seat:
    """One child's place, and the server's end of its line."""

    line: socket.socket
    place: Place = "starting"
    folder: str | None = None
    rest: bytes = b""


@dataclass
class Turns:
    """Who starts now, and who is next."""

    places: int
    starting: int = 0
    queue: list[Seat] = field(default_factory=list)

    def free(self) -> bool:
        """Tell whether one more child may start."""
        return self.starting < self.places

    def join(self, line: socket.socket) -> Seat:
        """Take a place for a child that has just been forked."""
        line.setblocking(False)
        self.starting += 1
        return Seat(line)

    def hear(self, seat: Seat) -> bool:
        """Act on what a child says; False when its line has ended."""
        try:
            data = seat.line.recv(8192)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self.leave(seat)
            return False
        *lines, seat.rest = (seat.rest + data).split(b"\n")
        for line in lines:
            self._said(seat, line)
        return True

    def _said(self, seat: Seat, line: bytes) -> None:
        if line == b"w" and seat.place == "starting":
            self.starting -= 1
            seat.place = "waiting"
        elif line == b"a" and seat.place == "waiting":
            seat.place = "queued"
            self.queue.append(seat)
        elif line == b"r":
            self.leave(seat)
        elif line.startswith(b"d "):
            seat.folder = line[2:].decode("utf-8", "surrogateescape")
        self._admit()

    def leave(self, seat: Seat) -> None:
        """Give a child's place to the next; more than once does no harm."""
        if seat.place == "starting":
            self.starting -= 1
        if seat in self.queue:
            self.queue.remove(seat)
        seat.place = "started"
        self._admit()

    def _admit(self) -> None:
        while self.queue and self.free():
            seat = self.queue.pop(0)
            seat.place = "starting"
            self.starting += 1
            try:
                seat.line.send(b"g", socket.MSG_NOSIGNAL)
            except OSError:
                continue
