"""Has a scheduler write Dask's own performance report: task stream, profiles, bandwidth.

Relies on:
- distributed/scheduler.py Scheduler.performance_report(start, last_count, code, mode) returns a page of HTML; mode
  "inline" puts Bokeh's scripts into it. It raises ImportError without Bokeh. What it says of the duration counts from
  `start`. Seen: 2022.12 to 2026.8.
- distributed/scheduler.py Scheduler.time_started is when the scheduler began (seconds since 1970). Seen: 2022.12 to
  2026.8.
- distributed/diagnostics/task_stream.py TaskStreamPlugin(scheduler, maxlen), kept in Scheduler.plugins by its `name`,
  which Scheduler.get_task_stream looks for before it makes one; what ran before the plugin was there is not in it.
"""

from __future__ import annotations

from typing import Any

from tsdask_mpi.compat.names import lacking

#: So many tasks make a page of a few MB that a browser still opens; a busy cluster runs as many in seconds.
MOST_TASKS = 10_000


def probe() -> str | None:
    """Say what is missing."""
    from distributed import Scheduler
    from distributed.diagnostics.task_stream import TaskStreamPlugin

    return lacking("distributed.Scheduler", Scheduler, "performance_report", "add_plugin") or lacking(
        "distributed.diagnostics.task_stream.TaskStreamPlugin", TaskStreamPlugin, "collect"
    )


def keep_tasks(scheduler: Any) -> None:
    """Keep from now on when and where tasks ran, unless that is kept already."""
    from distributed.diagnostics.task_stream import TaskStreamPlugin

    if TaskStreamPlugin.name not in scheduler.plugins:
        scheduler.add_plugin(TaskStreamPlugin(scheduler, maxlen=MOST_TASKS))


async def page(scheduler: Any, code: str) -> str:
    """Return the report as a page of HTML; raises ImportError without a Bokeh that it can use."""
    keep_tasks(scheduler)
    text: str = await scheduler.performance_report(start=scheduler.time_started, last_count=0, code=code, mode="inline")
    return text
