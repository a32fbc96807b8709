"""The moment at which a script has returned and threads of it still run.

Relies on: Lib/threading.py _shutdown(): the interpreter calls it, by its name in the module, when the main thread has
returned; it waits for all threads that are no daemons. Seen: CPython 3.10 to 3.14.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


def probe() -> str | None:
    """Say what is missing."""
    from .names import lacking

    return lacking("threading", threading, "_shutdown")


def while_waiting(tell: Callable[[], Callable[[], None]]) -> None:
    """
    Call `tell` before the interpreter waits for such threads, if there are any, and what it returned when they have
    ended; without what this relies on, nothing.
    """
    if probe() is not None:
        return
    original = threading._shutdown  # type: ignore[attr-defined]

    def _shutdown() -> None:
        main = threading.main_thread()
        if not any(not thread.daemon and thread is not main for thread in threading.enumerate()):
            original()
            return
        over = tell()
        original()
        over()

    threading._shutdown = _shutdown  # type: ignore[attr-defined]
