"""How many children start at once."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tsdask_mpi import start_throttle
from tsdask_mpi.start_throttle import Slot, StartThrottle


class Child:
    """The child's end of a slot's line."""

    def __init__(self, throttle: StartThrottle) -> None:
        theirs, self.line = socket.socketpair()
        self.line.setblocking(False)
        self.throttle = throttle
        self.slot: Slot = throttle.join(theirs)

    def says(self, words: bytes) -> bool:
        self.line.send(words)
        return self.throttle.hear(self.slot)

    def heard(self) -> bytes:
        try:
            return self.line.recv(10)
        except BlockingIOError:
            return b""


@pytest.fixture
def throttle() -> Iterator[StartThrottle]:
    yield StartThrottle(slots=1)


def test_one_that_waits_for_the_scheduler_gives_its_place_up_and_asks_for_it_again(throttle: StartThrottle) -> None:
    first = Child(throttle)
    assert not throttle.free()
    first.says(b"w\n")
    assert throttle.free()
    second = Child(throttle)
    first.says(b"a\n")
    assert first.heard() == b""
    second.says(b"r\n")
    assert first.heard() == b"g"
    assert not throttle.free()


def test_one_that_is_gone_gives_its_place_to_the_next(throttle: StartThrottle) -> None:
    first, second = Child(throttle), Child(throttle)
    throttle.leave(second.slot)
    second = Child(throttle)
    second.says(b"a\n")
    first.line.close()
    assert throttle.hear(first.slot) is False
    throttle.leave(first.slot)
    assert second.heard() == b"g"


def test_one_that_takes_long_holds_nobody_up(throttle: StartThrottle, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, next_one = Child(throttle), Child(throttle)
    next_one.says(b"a\n")
    slow.slot.since -= start_throttle.START_PLACE_SECONDS
    throttle.starting.sort(key=lambda slot: slot.since)
    assert throttle.wait() == 0.0
    throttle.expire()
    assert next_one.heard() == b"g"


def test_half_a_word_is_kept_until_the_rest_has_come(throttle: StartThrottle) -> None:
    child = Child(throttle)
    child.says(b"d /tmp/sp")
    assert child.slot.folder is None
    child.says(b"ill\n")
    assert child.slot.folder == "/tmp/spill"
