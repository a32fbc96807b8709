"""Private parts of CPython.

Relies on:
- atexit._run_exitfuncs() calls what was registered, the last first, and forgets it.
- subprocess._args_from_interpreter_flags() returns the options that this interpreter was started with.
- tempfile.gettempdir() keeps its answer in tempfile.tempdir. Seen: CPython 3.10 to 3.14.
"""

from __future__ import annotations

import atexit
import subprocess
import tempfile

from tsdask_mpi.compat.names import lacking


def probe() -> str | None:
    """Say what is missing."""
    return lacking("atexit", atexit, "_run_exitfuncs") or lacking(
        "subprocess", subprocess, "_args_from_interpreter_flags"
    )


def run_exit_functions() -> None:
    """Call what was registered with atexit."""
    atexit._run_exitfuncs()


def own_flags() -> list[str]:
    """Return the options to start this interpreter with once more."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags


def forget_temporary_folder() -> None:
    """Have Python look for the folder for temporary files again."""
    tempfile.tempdir = None
