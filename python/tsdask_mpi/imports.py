"""What is imported once, before any fork, so that no child imports it again.

LAZY lists what Dask, tornado and the standard library import only while a scheduler or worker starts, connects or ends
(found by comparing sys.modules before and after); a name that a version of Dask does not have is passed over.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import time
from typing import NamedTuple

from tsdask_mpi import diagnosis, import_cache
from tsdask_mpi.compat import package_versions
from tsdask_mpi.contract import ServerFailure
from tsdask_mpi.linux import thread_count
from tsdask_mpi.wire import Message

SETTLE_SECONDS = 0.05

#: The releases of `distributed` that the tests are run against: the oldest, which is needed, and the newest.
OLDEST_DASK = (2022, 12)
NEWEST_TESTED = (2026, 8)

OPENMP = "OMP_NUM_THREADS"
MATH_THREADS = ("OPENBLAS_NUM_THREADS", OPENMP, "MKL_NUM_THREADS")

ENGINE = (
    "dask",
    "distributed",
    "distributed.scheduler",
    "distributed.worker",
    "distributed.nanny",
)

LAZY = (
    "tornado.platform.asyncio",
    "distributed.counter",
)

PACKAGES = ("msgpack", "tornado", "cloudpickle", "toolz", "numpy", "pandas", "lz4")


class ImportFailure(Exception):
    """A module that must be there cannot be imported; `reason` is the word that goes to the leader."""

    def __init__(self, reason: ServerFailure, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Refused(NamedTuple):
    """A module of --warm that is not kept warm, and why."""

    module: str
    reason: ServerFailure
    message: str


def import_engine() -> None:
    """
    Import Dask and all it needs to start, without a word; raises ImportFailure (no-dask, old-dask, or a kind of
    diagnosis.py).
    """
    logging.disable(logging.WARNING)
    restore_yaml = package_versions.read_yaml_quickly()
    try:
        _import_engine()
    finally:
        restore_yaml()
        logging.disable(logging.NOTSET)


def _import_engine() -> None:
    for name in ENGINE:
        try:
            importlib.import_module(name)
        except Exception as error:
            if name in ("dask", "distributed") and getattr(error, "name", None) == name:
                raise ImportFailure("no-dask", f"{sys.executable} has no module {name}") from error
            kind, what = diagnosis.explain(error)
            reason: ServerFailure = "no-dask" if kind == "missing" else kind
            raise ImportFailure(
                reason, f"{sys.executable} cannot import {name}: {what}" if kind != "yaml" else what
            ) from error
    import distributed

    version = tuple(int(part) for part in distributed.__version__.split(".")[:2])
    if version < OLDEST_DASK:
        raise ImportFailure("old-dask", f"distributed {distributed.__version__} is too old: 2022.12 or newer is needed")
    import dask.config

    routes = [dask.config.get(f"distributed.{kind}.http.routes", []) for kind in ("scheduler", "worker")]
    for name in (*LAZY, *routes[0], *routes[1]):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    import_cache.ask_once()


def warm(names: list[str]) -> list[Refused]:
    """Import the user's modules; those that fail or start threads are returned, and nothing is raised."""
    refused = []
    for name in names:
        before = thread_count()
        try:
            importlib.import_module(name)
        except Exception as error:
            refused.append(Refused(name, "warm", f"cannot import {name}: {type(error).__name__}: {error}"))
            continue
        started = _settled_threads(before) - before
        if started > 0:
            message = f"importing {name} starts {started} thread(s), and a process with threads cannot be forked safely"
            refused.append(Refused(name, "threads", message))
    return refused


def _settled_threads(before: int) -> int:
    """Count threads, and once more a little later when there are more than before: some end by themselves."""
    count = thread_count()
    if count > before:
        time.sleep(SETTLE_SECONDS)
        count = thread_count()
    return count


def limit_math_threads() -> dict[str, str | None]:
    """Keep numerical libraries from starting threads at import; returns what the variables were, for `restore`."""
    before = {name: os.environ.get(name) for name in MATH_THREADS}
    for name in MATH_THREADS:
        os.environ[name] = "1"
    return before


def restore(before: dict[str, str | None]) -> None:
    """Give the environment variables their values back."""
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def restore_openmp(before: dict[str, str | None]) -> None:
    """
    Give OpenMP's variable its value back, before the user's modules are imported: a runtime reads it once, as it is
    loaded, and for threads that start later nothing sets it any more (omp_set_num_threads is the calling thread's own).
    It starts no threads before it is used.
    """
    restore({OPENMP: before[OPENMP]})


def freeze() -> None:
    """Move all that is alive out of the collector's sight, so that children share its memory pages.

    There is no collection before: it would take a fifth of the time of all imports, to free what all children share.
    """
    gc.freeze()


def versions() -> Message:
    """Return the versions of Dask, and of the packages that must agree between hosts, of those that are imported."""
    import distributed

    import dask

    found = {}
    for name in PACKAGES:
        module = sys.modules.get(name)
        version = getattr(module, "__version__", None) or getattr(module, "version", None)
        if module is not None and isinstance(version, (str, tuple)):
            found[name] = ".".join(str(part) for part in version) if isinstance(version, tuple) else version
    return {"dask": dask.__version__, "distributed": distributed.__version__, "packages": found}


def installed_versions() -> Message:
    """Return the same from what is installed, without importing it; raises ImportFailure (no-dask)."""
    from importlib import metadata

    found = {}
    for name in ("dask", "distributed", *PACKAGES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name in ("dask", "distributed"):
                raise ImportFailure("no-dask", f"No module named {name!r}") from None
    return {"dask": found.pop("dask"), "distributed": found.pop("distributed"), "packages": found}


def release_of(version: str) -> tuple[int, ...]:
    """Return the year and month of a release of Dask, (0, 0) for a text that has none."""
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else (0, 0)


def newest_tested(version: str) -> str | None:
    """Return the newest release of distributed that was tested, where this one is newer."""
    return ".".join(str(part) for part in NEWEST_TESTED) if release_of(version) > NEWEST_TESTED else None
