"""
How many threads the numerical libraries take that were loaded before the fork, when a child's environment says
otherwise.

They read their variables once, as they are loaded; OpenBLAS and MKL have a function for later (OpenBLAS's cblas.h,
MKL's mkl_service.h), whose name bears a suffix in the builds that NumPy's wheels carry.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

SETTERS = {
    "openblas": (
        "scipy_openblas_set_num_threads64_",
        "scipy_openblas_set_num_threads",
        "openblas_set_num_threads64_",
        "openblas_set_num_threads",
    ),
    "libmkl_rt": ("MKL_Set_Num_Threads",),
}
VARIABLES = {
    "openblas": ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"),
    "libmkl_rt": ("MKL_NUM_THREADS", "OMP_NUM_THREADS"),
}
MAPS = "/proc/self/maps"


def wanted_threads(library: str) -> int | None:
    """Return how many threads the environment wants of a library, or None when it does not say."""
    values = (os.environ.get(name, "") for name in VARIABLES[library])
    return next((int(value) for value in values if value.isdigit() and int(value) > 0), None)


def set_threads(given: int = 1) -> None:
    """
    Have the libraries that are loaded take as many threads as the environment says, if that is not what they were
    `given`.
    """
    wanted = {library: wanted_threads(library) for library in SETTERS}
    wanted = {library: count for library, count in wanted.items() if count != given}
    if not wanted:
        return
    for library, path in loaded(tuple(wanted)):
        setter = _setter(library, path)
        if setter is not None:
            setter(ctypes.c_int(wanted[library] or len(os.sched_getaffinity(0))))


def loaded(libraries: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (library, path) of those of the libraries that are mapped into this process."""
    with open(MAPS, encoding="utf-8", errors="surrogateescape") as file:
        paths = {line[line.find("/") :].rstrip("\n") for line in file if "/" in line}
    return [(library, path) for path in sorted(paths) for library in libraries if library in os.path.basename(path)]


def _setter(library: str, path: str) -> Callable[[ctypes.c_int], None] | None:
    try:
        handle = ctypes.CDLL(path)
    except OSError:
        return None
    return next((getattr(handle, name) for name in SETTERS[library] if hasattr(handle, name)), None)
