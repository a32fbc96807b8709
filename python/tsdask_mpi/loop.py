"""The event loop of a child, of the kind that Dask's configuration names."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


def run_loop(body: Coroutine[Any, Any, int]) -> int:
    """Run `body` on a new event loop and return its result; tasks that are left then are dropped, not awaited.

    distributed/config.py: get_loop_factory() in new versions; older ones set the loop policy at import.
    """
    import distributed.config

    factory = getattr(distributed.config, "get_loop_factory", lambda: None)()
    loop = factory() if factory else asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop.run_until_complete(body)


async def first_of(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:
    """Wait until one of them is done, or for `timeout` seconds; none of them is cancelled."""
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
