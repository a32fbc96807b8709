"""
Adds Dask's dashboard to a scheduler that runs already, so that Bokeh's import delays neither the first worker nor the
first task.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from tornado import web

from tsdask_mpi.channel import Channel
from tsdask_mpi.compat import dashboard_pages

SWITCH_SECONDS = 0.0005
PAGES = r"/(status|individual-.*|workers|tasks|system|profile|graph|groups)?"

logger = logging.getLogger("tsdask_mpi")


class Waiting(web.RequestHandler):
    """The page that stands in for the dashboard until it is there; a visit asks for it."""

    def initialize(self, wanted: asyncio.Event, there: asyncio.Event) -> None:
        """Take what to set when the dashboard is wanted, and what is set when it has come."""
        self.wanted = wanted
        self.there = there

    async def get(self, path: str | None = None) -> None:
        """
        Answer with a page that loads itself anew; a program that asks for data waits, and is sent to the real ones.
        """
        self.wanted.set()
        if (path or "").endswith(".json"):
            await self.there.wait()
            self.redirect(path or "")
            return
        self.set_header("Refresh", "1")
        self.write("<!doctype html><title>Dask</title><p>The dashboard is being loaded.</p>")


async def when_wanted(scheduler: Any, prefix: str, wanted: asyncio.Event, channel: Channel) -> None:
    """
    Load the dashboard when the rank asks for it, or when somebody visits one of its pages; the rank is told when it is
    there.
    """
    there = asyncio.Event()
    standing_in = web.Application([(prefix.rstrip("/") + PAGES, Waiting, {"wanted": wanted, "there": there})])
    applications = dashboard_pages.applications(scheduler)
    applications.append(standing_in)
    await wanted.wait()
    problem = await add_dashboard(scheduler, prefix)
    applications.remove(standing_in)
    there.set()
    channel.send({"event": "dashboard", "problem": problem})


async def add_dashboard(scheduler: Any, prefix: str) -> str | None:
    """
    Import the dashboard in a thread and connect it; why not, with Dask's own page that says so, when Bokeh is missing.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        pages = await asyncio.get_running_loop().run_in_executor(None, dashboard_pages.load)
    except ImportError as error:
        dashboard_pages.say_missing(scheduler, prefix)
        return str(error)
    finally:
        sys.setswitchinterval(interval)
    dashboard_pages.connect(pages, scheduler, prefix)
    return None
