"""
Preload modules in the form that distributed's servers take them (distributed/preloading.py process_preloads), and what
they raise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tsdask_mpi import diagnosis
from tsdask_mpi.compat import preloading


class PreloadFailed(Exception):
    """A preload that was asked for raised when it was set up."""


def preload_kwargs(preload: list[list[str]] | None) -> dict[str, Any]:
    """
    Return the arguments for [[name, argv…]…]; none when there is nothing to load, so that Dask's configuration counts.
    """
    if not preload:
        return {}
    return {"preload": [name for name, *_ in preload], "preload_argv": [list(argv) for _, *argv in preload]}


def nanny_preload_kwargs(preload: list[list[str]] | None) -> dict[str, Any]:
    """
    Return the same for what a Nanny itself loads, beside what its worker does (distributed/nanny.py Nanny.__init__).
    """
    return {name.replace("preload", "preload_nanny"): value for name, value in preload_kwargs(preload).items()}


def keep_failures() -> Callable[[], None]:
    """
    Have Dask tell us what setting up its preloads raises; the function that is returned raises the first as
    PreloadFailed.
    """
    failures: list[str] = []
    preloading.on_failure(lambda name, error: failures.append(f"{name}: {diagnosis.with_place(error)}"))

    def check() -> None:
        if failures:
            raise PreloadFailed(failures[0])

    return check
