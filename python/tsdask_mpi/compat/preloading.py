"""What the set-up of a preload raises.

Relies on: distributed/preloading.py: whatever `dask_setup` of a preload raises passes through `Preload.start`, whose
caller logs it and goes on. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tsdask_mpi.compat.names import lacking


def probe() -> str | None:
    """Say what is missing."""
    from distributed import preloading

    return lacking("distributed.preloading", preloading, "Preload") or lacking(
        "distributed.preloading.Preload", preloading.Preload, "start"
    )


def on_failure(tell: Callable[[str, Exception], None]) -> None:
    """
    Call `tell` with a preload's name and what setting it up raises, in place of Dask's log; from now on, in this
    process.
    """
    from distributed.preloading import Preload

    start = Preload.start

    async def kept(self: Any) -> None:
        try:
            await start(self)
        except Exception as error:
            tell(str(self.name), error)

    Preload.start = kept
