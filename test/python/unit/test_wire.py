"""The wire between a rank, the fork server and its children."""

from __future__ import annotations

import pytest
from tsdask_mpi.wire import LineBuffer, Malformed, decode, encode


def test_a_message_comes_back_as_it_was() -> None:
    message = {"op": "start", "env": {"A": "ü\n"}, "n": 3}
    assert decode(encode(message)) == message
    assert encode(message).count(b"\n") == 1


def test_paths_lead_to_the_same_bytes_in_another_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with an umlaut was not found in one of Latin-1, and a worker's name must stay as it is."""
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "iso8859-1")
    monkeypatch.setattr("os.fsdecode", lambda path: path.decode("iso8859-1"))
    kwargs = {"name": "ü", "local_directory": "ü"}
    params = {
        "security": {"ca": "ü"},
        "preload": [["ü", "-ü"]],
        "kwargs": kwargs,
        "user_kwargs": {"local_directory": "ü"},
    }
    found = decode(encode({"op": "fork", "id": "ü", "cwd": "ü", "env": {"cwd": "ü"}, "params": params}))
    there = "\xc3\xbc"
    assert found == {
        "op": "fork",
        "id": "ü",
        "cwd": there,
        "env": {"cwd": "ü"},
        "params": {
            "security": {"ca": there},
            "preload": [[there, f"-{there}"]],
            "kwargs": {"name": "ü", "local_directory": there},
            "user_kwargs": {"local_directory": "ü"},
        },
    }


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
