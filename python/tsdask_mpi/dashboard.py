"""Adds Dask's dashboard to a scheduler that runs already, so that Bokeh's import delays neither the first worker nor the first task."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

logger = logging.getLogger("tsdask_mpi")


def _import() -> Any:
    import distributed.dashboard.scheduler as dashboard

    return dashboard


async def add_dashboard(scheduler: Any, prefix: str) -> bool:
    """Import the dashboard in a thread and connect it to the scheduler's open HTTP port; False when Bokeh is missing."""
    try:
        dashboard = await asyncio.get_running_loop().run_in_executor(None, _import)
    except ImportError as error:
        logger.warning("no dashboard: %s", error)
        return False
    dashboard.connect(scheduler.http_application, scheduler.http_server, scheduler, prefix=prefix)
    return True
