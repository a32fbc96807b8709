"""Preload modules in the form that distributed's servers take them (distributed/preloading.py process_preloads), and what they raise.

Fact relied on: whatever `dask_setup` of a preload raises passes through `Preload.start`, whose caller logs it and goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tsdask_mpi import diagnosis


class PreloadFailed(Exception):
    """A preload that was asked for raised when it was set up."""


def preload_kwargs(preload: list[list[str]] | None) -> dict[str, Any]:
    """Return the arguments for [[name, argv…]…]; none when there is nothing to load, so that Dask's configuration counts."""
    if not preload:
        return {}
    return {"preload": [name for name, *_ in preload], "preload_argv": [list(argv) for _, *argv in preload]}


def keep_failures() -> Callable[[], None]:
    """Have Dask tell us what setting up its preloads raises; the function that is returned raises the first as PreloadFailed."""
    from distributed.preloading import Preload

    failures: list[str] = []
    start = Preload.start

    async def kept(self: Any) -> None:
        try:
            await start(self)
        except Exception as error:
            failures.append(f"{self.name}: {diagnosis.with_place(error)}")

    Preload.start = kept

    def check() -> None:
        if failures:
            raise PreloadFailed(failures[0])

    return check
