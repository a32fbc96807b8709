"""Dask's logs: their level while it runs, and silence while it ends."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TextIO

from tsdask_mpi.compat.log_messages import LOST_ASKER, LOST_CLIENT, LOST_HEARTBEAT, REFUSED_TLS


def set_level(level: str | None) -> None:
    """Have Dask's own loggers write records of this level (debug, info, warning, error, critical) and above on stderr.

    What Dask keeps for `get_logs()` begins at info all the same, as in any of its clusters (distributed/deploy/utils.py
    silence_logging_cmgr() sets the level of the handlers, too).
    """
    number = logging.getLevelName(level.upper()) if level else None
    if not isinstance(number, int):
        return
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        of_dask = name == "distributed" or name.startswith("distributed.")
        if not of_dask or not isinstance(logger, logging.Logger) or not (logger.level or name == "distributed"):
            continue
        logger.setLevel(min(number, logging.INFO))
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setLevel(number)
    logging.getLogger("tsdask_mpi").setLevel(number)


def mute() -> None:
    """Say nothing more: what breaks while a cluster is taken down is not worth a reader's time."""
    logging.disable(logging.CRITICAL)


def drop_lost_peers() -> None:
    """
    Say nothing of a heartbeat that found the scheduler gone: the worker's connection to it ends at the same moment, and
    that is told. Nor of data that the client or worker is not there any more to take which asked for them: its end is
    told, and a worker that lives says itself what it misses.
    """

    def worth_saying(record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        text = record.getMessage()
        return kind is None or not issubclass(kind, OSError) or not (LOST_HEARTBEAT in text or LOST_ASKER in text)

    logging.getLogger("distributed.worker").addFilter(worth_saying)


def shorten_folder_troubles() -> None:
    """
    Tell in a line what the system says of a worker's folder that became read-only, full or another's: Dask logs a
    traceback for each lock that it cannot have there.
    """

    def shorten(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OSError):
            # One of Dask's texts names a path that it does not have.
            text = record.getMessage().replace(" in path: %s", "").strip()
            record.msg, record.args, record.exc_info, record.exc_text = f"{text}: {error}", (), None, None
        return True

    logging.getLogger("distributed.diskutils").addFilter(shorten)


def drop_lost_clients() -> None:
    """
    Say nothing of results for a client that is gone: Dask logs a traceback for each until it notices, of every script
    that ends in mid-work.
    """

    def worth_saying(record: logging.LogRecord) -> bool:
        return record.levelno != logging.CRITICAL or LOST_CLIENT not in str(record.msg)

    logging.getLogger("distributed.scheduler").addFilter(worth_saying)


def tell_missing_modules(tell: Callable[[str], None]) -> None:
    """
    Hand over the name of each module that is missing where a task or a graph is to be read, once: Dask only logs it, as
    a traceback.
    """
    told: set[str] = set()

    def look(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else sys.exc_info()[1]
        while error is not None:
            if isinstance(error, ModuleNotFoundError) and error.name and error.name not in told:
                told.add(error.name)
                tell(error.name)
            error = error.__cause__ or error.__context__
        return True

    for name in ("distributed.worker", "distributed.scheduler", "distributed.protocol.pickle"):
        logging.getLogger(name).addFilter(look)


def limit_refused(count: Callable[[str], None], told: int = 3) -> None:
    """
    Tell of the first few connections whose TLS was refused, one by one; more are handed to `count`, which says their
    number.

    Dask warns of each one, and a stranger can make thousands a second: the log would be theirs to fill.
    """
    left = told

    def worth_saying(record: logging.LogRecord) -> bool:
        nonlocal left
        if REFUSED_TLS not in str(record.msg):
            return True
        left -= 1
        if left >= 0:
            return True
        count("whose TLS handshake failed (Dask)")
        return False

    logging.getLogger("distributed.comm.tcp").addFilter(worth_saying)


def move_handlers(before: TextIO, after: TextIO) -> None:
    """Have every log handler that writes to one stream write to another."""
    loggers = [
        logging.root,
        *(logger for logger in logging.Logger.manager.loggerDict.values() if isinstance(logger, logging.Logger)),
    ]
    for logger in loggers:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is before:
                handler.stream = after
