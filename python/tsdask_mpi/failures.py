"""Why a scheduler or worker could not start, in a word that its rank knows."""

from __future__ import annotations

import asyncio
import errno
import ssl
import traceback

from tsdask_mpi import diagnosis
from tsdask_mpi.compat.log_messages import ENCRYPTION_REQUIRED, MALFORMED_YAML, PRELOADING_FILE, REFUSED_WORKER
from tsdask_mpi.contract import ChildEvent, ChildFailure
from tsdask_mpi.preloads import PreloadFailed

TIMEOUTS = (asyncio.TimeoutError, TimeoutError)


def code_of(error: BaseException) -> ChildFailure:
    """
    Return the word for an exception: timeout, tls, port, folder, permission, address, preload, import, memory,
    encryption, yaml, arguments, refused, other.
    """
    chain = _chain(error)
    if isinstance(error, PreloadFailed) or _in_preload(error):
        return "preload"
    for cause in chain:
        if isinstance(cause, ssl.SSLError):
            return "tls"
        if isinstance(cause, ImportError):
            return "import"
        if isinstance(cause, MemoryError):
            return "memory"
        if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
            return "port"
        if isinstance(cause, OSError) and cause.errno in diagnosis.NO_PLACE and isinstance(cause.filename, str):
            return "folder"
        if isinstance(cause, OSError) and cause.errno == errno.EACCES:
            return "permission"
        if isinstance(cause, OSError) and cause.errno == errno.EADDRNOTAVAIL:
            return "address"
        if ENCRYPTION_REQUIRED in str(cause):
            return "encryption"
        if MALFORMED_YAML in str(cause):
            return "yaml"
    if isinstance(error, TIMEOUTS):
        return "timeout"
    if isinstance(error, TypeError):
        return "arguments"
    if any(REFUSED_WORKER in str(cause) for cause in chain):
        return "refused"
    return "other"


def failed(error: BaseException) -> ChildEvent:
    """Return the event that tells a rank of an exception."""
    innermost = _chain(error)[-1]
    message = str(error) or type(error).__name__
    if _in_preload(error):
        message = diagnosis.with_place(error)
    elif innermost is not error and str(innermost) and str(innermost) not in message:
        message = f"{message}: {innermost}"
    return {"event": "failed", "code": code_of(error), "message": _shortened(message)}


def _shortened(text: str) -> str:
    """Return what can be shown of a text that may be endless, as that of an exception with a whole table in it."""
    return text if len(text) <= 4000 else f"{text[:3000]} … {text[-900:]}"


def _in_preload(error: BaseException) -> bool:
    """Whether a preload's own code raised this when it was imported; one that is not there is none."""
    if isinstance(error, ModuleNotFoundError):
        return False
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return any(name.endswith(PRELOADING_FILE) for name in frames)


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return chain
