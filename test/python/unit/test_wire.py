"""The wire between a rank, the fork server and its children."""

from __future__ import annotations

import pytest
from tsdask_mpi.wire import LineBuffer, Malformed, decode, encode


def test_a_message_comes_back_as_it_was() -> None:
    message = {"op": "start", "env": {"A": "ü\n"}, "n": 3}
    assert decode(encode(message)) == message
    assert encode(message).count(b"\n") == 1


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_object_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        decode(line)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_lines_are_cut_wherever_they_arrive(size: int) -> None:
    data = b"one\ntwo\n\nthree\nrest"
    buffer = LineBuffer()
    lines: list[bytes] = []
    for start in range(0, len(data), size):
        lines += buffer.feed(data[start : start + size])
    assert lines == [b"one", b"two", b"", b"three"]
    assert buffer.rest() == b"rest"


@pytest.mark.parametrize("data", [b"x" * 11, b"ok\n" + b"x" * 11, b"ok\n" + b"x" * 11 + b"\n"])
def test_a_line_over_the_limit_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="longer than 10 bytes"):
        LineBuffer(limit=10).feed(data)
