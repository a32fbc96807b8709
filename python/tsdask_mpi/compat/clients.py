"""distributed's Client: the one that a script left open, and one that is told of its launch when it begins.

Relies on distributed/client.py:
- _close_global_client() closes the client that get_client() would give, and is called at the interpreter's exit
  (atexit).
- Client.__init__ connects; Client._shutdown() is the coroutine behind Client.shutdown(), and closes `Client.cluster`
  where there is one.
- Client._asynchronous is what it was asked to be, _scheduler_identity what the scheduler told of itself when it
  connected.
- AllExit: a `gather` that is interrupted leaves futures with it that nobody awaits, and asyncio logs each of them.
- distributed/batched.py BatchedSend logs "Batched Comm Closed …" at info with a traceback. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import sys
from collections.abc import Callable
from typing import Any


def probe() -> str | None:
    """Say what is missing."""
    from distributed import client

    from .names import lacking, written_in

    absent = lacking("distributed.client", client, "_close_global_client", "AllExit")
    absent = absent or lacking("distributed.client.Client", client.Client, "_shutdown")
    written = written_in(client.Client.__init__)
    unwritten = (name for name in ("_asynchronous", "_scheduler_identity") if name not in written)
    return absent or next((f"distributed.client.Client.{name}" for name in unwritten), None)


def close_left_open() -> None:
    """Close it, where the script has imported `distributed` at all."""
    client = sys.modules.get("distributed.client")
    if client is not None and hasattr(client, "_close_global_client"):
        client._close_global_client()


def close_quietly_at_exit(module: Any) -> None:
    """
    Let a Ctrl-C while a script's client is closed at its exit end the closing without a traceback: the script's code
    stays what it was.
    """
    close = getattr(module, "_close_global_client", None)
    if close is None:
        return

    def close_unless_interrupted() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            close()

    atexit.unregister(close)
    atexit.register(close_unless_interrupted)


def replace(cls: Any, begin: Callable[..., None], before_shutdown: Callable[[Any], None]) -> None:
    """
    Have `begin(original __init__, client, args, words)` begin each client, and `before_shutdown(client)` called before
    it shuts its cluster down.
    """
    init, shutdown = cls.__init__, cls._shutdown

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **words: Any) -> None:
        begin(init, self, args, words)

    @functools.wraps(shutdown)
    async def _shutdown(self: Any) -> Any:
        before_shutdown(self)
        return await shutdown(self)

    cls.__init__ = __init__
    cls._shutdown = _shutdown


def is_asynchronous(client: Any) -> bool:
    """Tell whether a client was made to be used in an event loop."""
    return bool(client._asynchronous)


def told_identity(client: Any) -> Any:
    """Return what the scheduler told when the client connected; empty where it told nothing."""
    return client._scheduler_identity


def quieten_lost(module: Any) -> None:
    """
    Leave out of a script's log what its own exception says: the futures of an interrupted `gather`, which asyncio logs,
    and the traceback of a connection that closed when its scheduler was lost.
    """
    logging.getLogger("distributed.batched").addFilter(_without_traceback)
    all_exit = getattr(module, "AllExit", None)
    if all_exit is None:
        return

    def wanted(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], all_exit))

    logging.getLogger("asyncio").addFilter(wanted)


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.levelno <= logging.INFO:
        record.exc_info = None
    return True
