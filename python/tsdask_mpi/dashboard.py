"""Adds Dask's dashboard to a scheduler that runs already, so that Bokeh's import delays neither the first worker nor the first task.

Facts relied on:
- distributed/dashboard/scheduler.py connect(application, http_server, scheduler, prefix) adds the dashboard to an open HTTP port;
  its import raises ImportError without a Bokeh of the right version, and then distributed/http/scheduler/missing_bokeh.py has the page.
- distributed/http/routing.py RoutingApplication.find_handler() asks the applications added to it for what it does not know itself.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from tornado import web

from tsdask_mpi.channel import Channel

SWITCH_SECONDS = 0.0005
PAGES = r"/(status|individual-.*|workers|tasks|system|profile|graph|groups)?"

logger = logging.getLogger("tsdask_mpi")


class Waiting(web.RequestHandler):
    """The page that stands in for the dashboard until it is there; a visit asks for it."""

    def initialize(self, wanted: asyncio.Event) -> None:
        """Take what to set when the dashboard is wanted."""
        self.wanted = wanted

    def get(self, *_: str) -> None:
        """Answer with a page that loads itself anew."""
        self.wanted.set()
        self.set_header("Refresh", "1")
        self.write("<!doctype html><title>Dask</title><p>The dashboard is being loaded.</p>")


async def when_wanted(scheduler: Any, prefix: str, wanted: asyncio.Event, channel: Channel) -> None:
    """Load the dashboard when the rank asks for it, or when somebody visits one of its pages; the rank is told when it is there."""
    standing_in = web.Application([(prefix.rstrip("/") + PAGES, Waiting, {"wanted": wanted})])
    applications = scheduler.http_application.applications
    applications.append(standing_in)
    await wanted.wait()
    problem = await add_dashboard(scheduler, prefix)
    applications.remove(standing_in)
    channel.send({"event": "dashboard", "loaded": problem is None, "problem": problem})


async def add_dashboard(scheduler: Any, prefix: str) -> str | None:
    """Import the dashboard in a thread and connect it; why not, with Dask's own page that says so, when Bokeh is missing."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        pages = await asyncio.get_running_loop().run_in_executor(None, _import)
    except ImportError as error:
        from distributed.http.utils import get_handlers

        routes = get_handlers(server=scheduler, modules=["distributed.http.scheduler.missing_bokeh"], prefix=prefix)
        scheduler.http_application.add_handlers(r".*$", routes)
        return str(error)
    finally:
        sys.setswitchinterval(interval)
    pages.connect(scheduler.http_application, scheduler.http_server, scheduler, prefix=prefix)
    return None


def _import() -> Any:
    import distributed.dashboard.scheduler as pages

    return pages
