"""`cluster.adapt()`: `tsdask-mpi adapt` for as long as its cluster, or the process that asked for it, is there."""

from __future__ import annotations

import warnings
from typing import Any

from tsdask_mpi import kept
from tsdask_mpi.kept import Kept, Source
from tsdask_mpi.started import PROGRAM

#: What Dask's Adaptive has, too.
_OPTIONS = ("interval", "wait_count", "target_duration")
#: What it had, and now ignores.
_FORMER = ("scale_factor", "startup_cost")


class Adapting:
    """What `adapt()` returns; `stop()` ends it, and the worker jobs that it started."""

    def __init__(self, command: list[str]) -> None:
        source = Source("", command=command, private=kept.private_folder("tsdask-adapt-", None))
        self._kept: Kept | None = Kept(source)

    @property
    def periodic_callback(self) -> object:
        """What Dask's widget takes for a sign that the work is followed: None once that has ended."""
        return None if self._kept is None or self._kept.ended() else self._kept

    def said(self) -> str:
        """Return what it has said so far: what it asked for, why jobs wait, and why it has ended, if it has."""
        return "" if self._kept is None else self._kept.said()

    def stop(self) -> None:
        """End it, and return when its worker jobs are cancelled; a second call does nothing."""
        held, self._kept = self._kept, None
        if held is not None:
            held.end()


def adapting(file: str, minimum: int, maximum: int | None, options: dict[str, Any], job: list[str]) -> Adapting:
    """Start to follow the work of the cluster of `file`; ValueError for what cannot be followed."""
    if maximum is None:
        raise ValueError("adapt() needs maximum=: it bounds what may be submitted")
    if minimum > maximum or maximum < 1:
        raise ValueError(f"adapt(minimum={minimum}, maximum={maximum}): maximum is at least 1, and not below minimum")
    for name in options:
        if name in _FORMER:
            warnings.warn(f"adapt({name}=…) does nothing: Dask has dropped it", FutureWarning, stacklevel=4)
        elif name not in _OPTIONS:
            raise ValueError(
                f"TSD-169 adapt({name}=…) has no meaning here: it takes minimum, maximum, {', '.join(_OPTIONS)}."
            )
    known = {name: value for name, value in options.items() if name in _OPTIONS}
    line = kept.words({"min": minimum, "max": maximum, **known})
    return Adapting([str(PROGRAM), "adapt", file, *line, *job])
