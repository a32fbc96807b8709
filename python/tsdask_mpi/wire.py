"""The wire between a rank, the fork server and its children: one JSON object per line, in UTF-8, at most 4 MiB long."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

MAX_LINE_BYTES = 4 * 1024 * 1024

#: What holds paths in the messages of contract.py. Nothing in `OTHERS` is looked at: it has names of its own.
PATHS = {
    "socket",
    "host_dir",
    "pipes",
    "script_folder",
    "paths",
    "links",
    "scheduler_file",
    "file",
    "cwd",
    "sys_path",
    "later_path",
    "scratch",
    "security",
    "token_file",
    "preload",
    "preload_nanny",
    "local_directory",
    "distributed.scheduler.dashboard.tls.cert",
    "distributed.scheduler.dashboard.tls.key",
}
OTHERS = {"env", "user_kwargs"}

Message = dict[str, Any]


class Malformed(Exception):
    """A peer sent what is not a line of JSON holding one object, or a line that is too long."""


def encode(message: Message) -> bytes:
    """Return the line that carries `message`, its newline included."""
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the object in one line, its paths as this Python's locale has them; raises Malformed."""
    try:
        message = json.loads(line)
        if sys.getfilesystemencoding() != "utf-8":
            message = _with_native_paths(message, False)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise Malformed("not a JSON object")
    return message


def _with_native_paths(value: Any, is_path: bool) -> Any:
    if isinstance(value, dict):
        return {
            name: one if name in OTHERS else _with_native_paths(one, is_path or name in PATHS)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_with_native_paths(one, is_path) for one in value]
    return native_path(value) if is_path and isinstance(value, str) else value


def native_path(path: str) -> str:
    """
    Return a path that came in UTF-8 as one that leads to the same bytes here, in a locale that may not have its
    characters.
    """
    return os.fsdecode(path.encode(errors="surrogatepass"))


class LineBuffer:
    """Cuts what arrives in pieces into lines, and holds no more than one line of the greatest length."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self.held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes; raises Malformed for a line over the limit."""
        head, newline, rest = data.partition(b"\n")
        self._pieces.append(head)
        self.held += len(head)
        if self.held > self._limit:
            raise Malformed(f"a line is longer than {self._limit} bytes")
        if not newline:
            return []
        lines = [b"".join(self._pieces)]
        *more, last = rest.split(b"\n")
        lines.extend(more)
        self._pieces = [last]
        self.held = len(last)
        if any(len(line) > self._limit for line in more) or self.held > self._limit:
            raise Malformed(f"a line is longer than {self._limit} bytes")
        return lines

    def rest(self) -> bytes:
        """Return what came after the last whole line."""
        return b"".join(self._pieces)
