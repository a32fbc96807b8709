"""Adds the dashboard to a scheduler whose HTTP port is open already.

Relies on:
- distributed/dashboard/scheduler.py connect(application, http_server, scheduler, prefix) adds the dashboard to an open
  HTTP port; its import raises ImportError without a Bokeh of the right version, and then
  distributed/http/scheduler/missing_bokeh.py has the page.
- distributed/http/routing.py RoutingApplication.find_handler() asks the applications added to it (`applications`) for
  what it does not know itself. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

from typing import Any

from tsdask_mpi.compat.names import lacking


def probe() -> str | None:
    """Say what is missing, without the import of Bokeh."""
    from distributed.http import routing, utils

    return lacking(
        "distributed.http.routing.RoutingApplication", routing.RoutingApplication, "find_handler"
    ) or lacking("distributed.http.utils", utils, "get_handlers")


def load() -> Any:
    """Import the dashboard; raises ImportError without a Bokeh that it can use."""
    import distributed.dashboard.scheduler as pages

    return pages


def connect(pages: Any, scheduler: Any, prefix: str) -> None:
    """Add the pages that `load` gave."""
    pages.connect(scheduler.http_application, scheduler.http_server, scheduler, prefix=prefix)


def say_missing(scheduler: Any, prefix: str) -> None:
    """Add Dask's own page that says that Bokeh is missing."""
    from distributed.http.utils import get_handlers

    routes = get_handlers(server=scheduler, modules=["distributed.http.scheduler.missing_bokeh"], prefix=prefix)
    scheduler.http_application.add_handlers(r".*$", routes)


def applications(scheduler: Any) -> list[Any]:
    """Return the scheduler's list of applications, to be changed in place."""
    found: list[Any] = scheduler.http_application.applications
    return found
