"""How many children start at once: a scheduler before all, then workers in a pipeline of a few per core.

A worker that waits for the scheduler's address gives its place up until it has it, and one that takes long (its preloads may be
slow) holds up nobody for more than PLACE_SECONDS. See `channel.Turn` for a child's side.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import Literal

PLACE_SECONDS = 1.0

Place = Literal["starting", "waiting", "queued", "started"]


@dataclass(eq=False)
class Seat:
    """One child's place, and the server's end of its line."""

    line: socket.socket
    place: Place = "starting"
    since: float = 0.0
    folder: str | None = None
    rest: bytes = b""


@dataclass
class Turns:
    """Who starts now, and who is next."""

    places: int
    seated: list[Seat] = field(default_factory=list)
    queue: list[Seat] = field(default_factory=list)

    def free(self) -> bool:
        """Tell whether one more child may start."""
        return len(self.seated) < self.places

    def join(self, line: socket.socket) -> Seat:
        """Take a place for a child that has just been forked."""
        line.setblocking(False)
        seat = Seat(line)
        self._sit(seat)
        return seat

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

    def leave(self, seat: Seat) -> None:
        """Give a child's place to the next; more than once does no harm."""
        for held in (self.seated, self.queue):
            if seat in held:
                held.remove(seat)
        seat.place = "started"
        self._admit()

    def wait(self) -> float | None:
        """Return the seconds until a place becomes free for want of news, or None when there are free ones."""
        return None if self.free() else max(0.0, self.seated[0].since + PLACE_SECONDS - time.monotonic())

    def expire(self) -> None:
        """Give away the places of those that have held them for PLACE_SECONDS."""
        now = time.monotonic()
        while self.seated and self.seated[0].since + PLACE_SECONDS <= now:
            self.leave(self.seated[0])

    def _said(self, seat: Seat, line: bytes) -> None:
        if line == b"w" and seat.place == "starting":
            self.seated.remove(seat)
            seat.place = "waiting"
        elif line == b"a" and seat.place != "queued":
            self._ask(seat)
        elif line == b"r":
            self.leave(seat)
        elif line.startswith(b"d "):
            seat.folder = line[2:].decode("utf-8", "surrogateescape")
        self._admit()

    def _ask(self, seat: Seat) -> None:
        if seat in self.seated:
            self.seated.remove(seat)
        seat.place = "queued"
        self.queue.append(seat)

    def _sit(self, seat: Seat) -> None:
        seat.place = "starting"
        seat.since = time.monotonic()
        self.seated.append(seat)

    def _admit(self) -> None:
        while self.queue and self.free():
            seat = self.queue.pop(0)
            self._sit(seat)
            try:
                seat.line.send(b"g", socket.MSG_NOSIGNAL)
            except OSError:
                continue
