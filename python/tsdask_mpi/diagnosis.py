"""
What an exception of Python's or Dask's means to whoever starts a cluster: a word for its kind, and one line that names
file, module or value.

It imports nothing but what Python has loaded before its first line, and the texts of compat/: it must work where
imports are what is broken.
"""

from __future__ import annotations

import errno
import os
import sys
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from tsdask_mpi.compat import log_messages

if TYPE_CHECKING:
    from tsdask_mpi.contract import Diagnosis


#: A file or folder cannot be made: not there, a file on its way, full, read-only, or somebody else's.
NO_PLACE = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ESTALE,
)


class Finding(NamedTuple):
    """A kind (yaml, missing, library, hidden, encryption, preload, memory, broken) and one line that says what."""

    kind: Diagnosis
    what: str


def explain(error: BaseException) -> Finding:
    """Return what an exception means; `broken` with the exception itself and its place when nothing better is known."""
    malformed = log_messages.malformed_file(str(error))
    if malformed is not None:
        return Finding("yaml", malformed)
    hidden = hidden_modules()
    if hidden:
        name, path = hidden[0]
        return Finding("hidden", f"{path} hides the module {name} of Python or Dask")
    chain = _chain(error)
    for cause in chain:
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return Finding("missing", f"there is no module {cause.name}")
        if isinstance(cause, ImportError) and log_messages.LIBRARY.search(str(cause)):
            return Finding("library", str(cause))
        if isinstance(cause, MemoryError) or (isinstance(cause, OSError) and cause.errno == errno.ENOMEM):
            return Finding("memory", with_place(cause))
        if log_messages.ENCRYPTION_REQUIRED in str(cause):
            return Finding("encryption", str(cause))
    return Finding("broken", with_place(chain[-1]))


def with_place(error: BaseException) -> str:
    """Return an exception in one line, with the file and line that raised it."""
    return f"{type(error).__name__}: {_one_line(error)}{_place(error.__traceback__)}"


def hidden_modules() -> list[tuple[str, str]]:
    """Return the modules of Python or Dask that were loaded from a file of somebody else's of the same name."""
    library = os.path.dirname(os.path.abspath(os.__file__))
    found = []
    for name in sorted(sys.modules):
        path = getattr(sys.modules[name], "__file__", None)
        if not path or "." in name:
            continue
        beside = os.path.dirname(os.path.abspath(path))
        whole = hasattr(sys.modules[name], "__path__")
        if name in sys.stdlib_module_names:
            home = os.path.dirname(beside) if whole else beside
            if not _within(home, library) and "lib-dynload" not in home and home in _added():
                found.append((name, path))
        elif name in ("dask", "distributed", "tornado", "msgpack", "yaml", "toolz") and not whole:
            found.append((name, path))
    return found


def hidden_beside(folder: str) -> list[tuple[str, str]]:
    """Return what a script in this folder will get in place of modules that Dask imports: name and path."""
    try:
        names = set(os.listdir(folder))
    except OSError:
        return []
    found = []
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." in name or not file or name.startswith(("_", "tsdask_mpi")):
            continue
        path = os.path.join(folder, f"{name}.py")
        if f"{name}.py" not in names:
            path = os.path.join(folder, name, "__init__.py")
            if name not in names or not os.path.exists(path):
                continue
        if os.path.realpath(path) != os.path.realpath(file):
            found.append((name, path))
    return found


def user_place(trace: TracebackType | None) -> str:
    """Return the last place of a traceback as `file:line`."""
    place = ""
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _place(trace: TracebackType | None) -> str:
    place = user_place(trace)
    return f" ({place})" if place else ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]


def _added() -> set[str]:
    return {os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path} | {
        os.path.abspath(path) for path in sys.path[:1] if path
    }


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain
