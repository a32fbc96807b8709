"""Runs distributed's own Scheduler for one request.

Facts relied on (distributed/scheduler.py, distributed/node.py):
- Scheduler.__init__ opens the HTTP port itself, and imports Bokeh only if `dashboard` says so.
- Scheduler.aliases: a worker's name → its address.
- Scheduler.close tells every worker to close; it ends at once when it has been called before.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from tsdask_mpi import control_commands, dashboard, desk, growth, linux, listeners, logs, token_gate, usage
from tsdask_mpi.channel import Channel, SlotLine
from tsdask_mpi.classes import arguments_for, call_with
from tsdask_mpi.compat import contact_address, last_seen, log_messages, nanny_methods, scheduler_methods
from tsdask_mpi.contract import CLOSE_SECONDS, CloseReason, SchedulerParams
from tsdask_mpi.loop import first_of
from tsdask_mpi.preloads import keep_failures, preload_kwargs
from tsdask_mpi.secure import security_of


async def run_scheduler(params: SchedulerParams, channel: Channel, slot: SlotLine) -> int:
    """Start a scheduler, tell the rank, and return the exit code when it has closed."""
    # Each worker has a connection or two; `dask scheduler` raises the limit as well
    # (distributed/cli/dask_scheduler.py).
    linux.allow_many_files()
    listeners.expect_clients_back()
    wanted = asyncio.Event()
    interrupted = asyncio.Event()
    stop = control_commands.listen(channel, dashboard=lambda _: wanted.set(), interrupted=interrupted.set)
    check_preloads = keep_failures()
    scheduler = make_scheduler(params)
    find_by_rank(scheduler, str(params.get("worker_prefix")))
    closing: asyncio.Future[CloseReason] = asyncio.get_running_loop().create_future()
    tell_usage = usage.watch(scheduler, channel)
    last_look = desk.answer(scheduler, channel, params.get("launched"))
    watch_close(scheduler, closing, channel, tell_usage, last_look)
    growth.answer(scheduler)
    logs.drop_lost_clients()
    slot.folder(nanny_methods.work_folder(scheduler))
    await scheduler
    last_seen.excuse_missed_time(scheduler)
    check_preloads()
    slot.done()
    pages_server = getattr(scheduler, "http_server", None)
    channel.send(
        {
            "event": "ready",
            "kind": "scheduler",
            "address": scheduler.address,
            "identity": scheduler.identity(),
            "dashboard": getattr(pages_server, "port", None),
            "https": getattr(pages_server, "ssl_options", None) is not None,
        }
    )
    pages = (
        asyncio.ensure_future(dashboard.when_wanted(scheduler, prefix_of(params), wanted, channel))
        if params.get("dashboard")
        else None
    )
    finished = asyncio.ensure_future(scheduler.finished())
    await first_of(closing, finished, stop)
    if pages is not None:
        pages.cancel()
    logs.mute()
    if stop.done() and not closing.done():
        closing.set_result("stop")
        tell_usage()
        channel.send({"event": "closing", "reason": "stop"})
        if interrupted.is_set() and params.get("returns"):
            # The next one takes its place: workers that it told to close, of this launch or one that joined, would not
            # come back.
            return 0
        end = asyncio.ensure_future(call_with(scheduler.close, {"reason": "stop"}))
        await first_of(end, timeout=stop.result())
    else:
        await first_of(finished, timeout=stop.result() if stop.done() else CLOSE_SECONDS)
    return 0


def prefix_of(params: SchedulerParams) -> str:
    """Return the path that the scheduler's pages hang below."""
    return (
        (params.get("user_kwargs") or {}).get("http_prefix") or (params.get("kwargs") or {}).get("http_prefix") or "/"
    )


def make_scheduler(params: SchedulerParams) -> Any:
    """
    Return the scheduler, not yet started, its HTTP port open and without the dashboard; raises OSError for a port that
    is taken.
    """
    from distributed import Scheduler

    token_gate.install_from(params.get("token_file"))
    contact_address.by_name(params.get("contact_host"))
    kwargs = arguments_for(Scheduler, params.get("kwargs") or {})
    with warnings.catch_warnings():
        # The rank shows the port that was taken in its place, in one line.
        warnings.filterwarnings("ignore", message=log_messages.PORT_TAKEN, category=UserWarning)
        return Scheduler(
            **{
                **kwargs,
                "security": security_of(params.get("security")),
                "dashboard": False,
                **preload_kwargs(params.get("preload")),
                **(params.get("user_kwargs") or {}),
            }
        )


def find_by_rank(scheduler: Any, prefix: str) -> None:
    """Have `workers=2` mean the worker of rank 2, which is called `<prefix>-2`: dask-mpi calls it 2."""

    def by_rank(worker: Any) -> Any:
        if isinstance(worker, int) and worker not in scheduler.aliases:
            return scheduler.aliases.get(f"{prefix}-{worker}", worker)
        return worker

    scheduler_methods.translate_names(scheduler, by_rank)


def watch_close(
    scheduler: Any,
    closing: asyncio.Future[CloseReason],
    channel: Channel,
    tell_usage: Callable[[], None],
    last_look: Callable[[], Awaitable[None]],
) -> None:
    """
    Have `closing` get the reason, and the rank the event, as soon as anything begins to close the scheduler; before it,
    what it was used for.

    When it closes by itself, `last_look` comes first.
    """

    def note(reason: CloseReason) -> None:
        if not closing.done():
            closing.set_result(reason)
            tell_usage()
            channel.send({"event": "closing", "reason": reason})

    scheduler_methods.before_closing(scheduler, note, last_look)
