"""The batch job of a `Cluster.batch` that is not up yet: whether it is still there, and what it has written."""

from __future__ import annotations

import os
import re
import subprocess
import time

from tsdask_mpi.listing import list_clusters

# Seconds between two questions: each asks the batch system.
ASK = 10.0
# Bytes of its output that are told.
TOLD = 4000
_NOW = {
    "pending": "is still waiting",
    "suspended": "is suspended",
    "starting": "has started",
    "running": "has started",
    "silent": "has started",
}


def _names(system: str, id: str) -> tuple[str, ...]:
    """Return what a job may be called: HTCondor calls several by one number (`12`), of which each is `12.0`."""
    name = f"{system} {id}"
    return (name, name.partition(".")[0]) if system == "htcondor" else (name,)


class Job:
    """A job that was submitted to be a cluster, from the working folder of now."""

    def __init__(self, system: str, number: str, output: str | None) -> None:
        """Take its number, and where its output goes if somebody said so, in the batch system's notation."""
        self.name = f"{system} {number}"
        self._number = number.partition(".")[0]
        self._output = None if output is None else os.path.abspath(output)
        self._folder = os.getcwd() if self._output is None else os.path.dirname(self._output)
        self._state = self._why = ""
        self._gone = 0
        self._next = time.monotonic() + ASK

    def look(self) -> None:
        """Ask for its state, as `tsdask-mpi list` knows it."""
        try:
            found = list_clusters()
        except (OSError, RuntimeError, ValueError, subprocess.TimeoutExpired):
            found = []
        # Those that live come first: its launch, once it has begun.
        mine = next((one for one in found if one["job"] and self.name in _names(**one["job"])), {})
        self._state, self._why = mine.get("state", ""), mine.get("why") or ""
        self._gone = self._gone + 1 if self._state == "ended" else 0
        self._next = time.monotonic() + ASK

    def is_gone(self) -> bool:
        """
        Say whether it has ended. It is asked for now and then, and two answers in a row count: between the queue and
        its start it may be in neither.
        """
        if time.monotonic() >= self._next:
            self.look()
        return self._gone > 1

    def now(self) -> str:
        """Say in which state it is, as the end of a sentence; nothing where that is not known."""
        return f"; {self.name} {_NOW[self._state]}" if self._state in _NOW else ""

    def said(self) -> str:
        """Return why it has ended, as far as that is known, with the end of its output."""
        why = f"{self.name}: {self._why}." if self._why else f"{self.name} has ended."
        try:
            path = self._file()
            with open(path, "rb") as file:
                file.seek(max(0, os.path.getsize(path) - TOLD))
                return f"{why} The end of its output, {path}:\n{file.read().decode(errors='replace')}"
        except OSError:
            return f"{why} Its output says more."

    def _file(self) -> str:
        """Return the path of its output, whose name ends with its number where nobody said another one; OSError."""
        if self._output is not None and os.path.isfile(self._output):
            return self._output
        number = re.escape(self._number)
        own = re.compile(rf"(.*[-.])?{number}(\.0)?\.out|.*\.o{number}")
        found = [name for name in os.listdir(self._folder) if own.fullmatch(name)]
        if not found:
            raise FileNotFoundError(self._folder)
        return os.path.join(self._folder, found[0])
