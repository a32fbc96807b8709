"""How many children start at once: a scheduler before all, then workers in a pipeline of a few per core.

A worker that waits for the scheduler's address gives its slot up until it has it, and one that takes long (its preloads
may be slow) holds up nobody for more than START_PLACE_SECONDS. See `channel.SlotLine` for a child's side.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import Literal

from tsdask_mpi.contract import START_PLACE_SECONDS

State = Literal["starting", "waiting", "queued", "started"]


@dataclass(eq=False)
class Slot:
    """One child's slot among those that start at once, and the server's end of its line."""

    line: socket.socket
    state: State = "starting"
    since: float = 0.0
    folder: str | None = None
    rest: bytes = b""


@dataclass
class StartThrottle:
    """Who starts now, and who is next."""

    slots: int
    starting: list[Slot] = field(default_factory=list)
    queue: list[Slot] = field(default_factory=list)

    def free(self) -> bool:
        """Tell whether one more child may start."""
        return len(self.starting) < self.slots

    def join(self, line: socket.socket) -> Slot:
        """Take a slot for a child that has just been forked."""
        line.setblocking(False)
        slot = Slot(line)
        self._start(slot)
        return slot

    def hear(self, slot: Slot) -> bool:
        """Act on what a child says; False when its line has ended."""
        try:
            data = slot.line.recv(8192)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self.leave(slot)
            return False
        *lines, slot.rest = (slot.rest + data).split(b"\n")
        for line in lines:
            self._said(slot, line)
        return True

    def leave(self, slot: Slot) -> None:
        """Give a child's slot to the next; more than once does no harm."""
        for held in (self.starting, self.queue):
            if slot in held:
                held.remove(slot)
        slot.state = "started"
        self._admit()

    def wait(self) -> float | None:
        """Return the seconds until a slot becomes free for want of news, or None when there are free ones."""
        return None if self.free() else max(0.0, self.starting[0].since + START_PLACE_SECONDS - time.monotonic())

    def expire(self) -> None:
        """Give away the slots of those that have held them for START_PLACE_SECONDS."""
        now = time.monotonic()
        while self.starting and self.starting[0].since + START_PLACE_SECONDS <= now:
            self.leave(self.starting[0])

    def _said(self, slot: Slot, line: bytes) -> None:
        if line == b"w" and slot.state == "starting":
            self.starting.remove(slot)
            slot.state = "waiting"
        elif line == b"a" and slot.state != "queued":
            self._ask(slot)
        elif line == b"r":
            self.leave(slot)
        elif line.startswith(b"d "):
            slot.folder = line[2:].decode("utf-8", "surrogateescape")
        self._admit()

    def _ask(self, slot: Slot) -> None:
        if slot in self.starting:
            self.starting.remove(slot)
        slot.state = "queued"
        self.queue.append(slot)

    def _start(self, slot: Slot) -> None:
        slot.state = "starting"
        slot.since = time.monotonic()
        self.starting.append(slot)

    def _admit(self) -> None:
        while self.queue and self.free():
            slot = self.queue.pop(0)
            self._start(slot)
            try:
                slot.line.send(b"g", socket.MSG_NOSIGNAL)
            except OSError:
                continue
