"""Runs distributed's own Scheduler for one request.

Facts relied on (distributed/scheduler.py, distributed/node.py):
- Scheduler.__init__ opens the HTTP port itself, and imports Bokeh only if `dashboard` says so; distributed/dashboard/scheduler.py
  connect(application, server, scheduler, prefix) adds the dashboard to an open port later.
- The RPC `terminate` and the idle timeout both end in Scheduler.close; the handlers table holds the bound method.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from tsdask_mpi import logs
from tsdask_mpi.channel import Channel, Turn
from tsdask_mpi.secure import security_of
from tsdask_mpi.wire import Message

STOP_SECONDS = 2.0


async def run_scheduler(params: Message, channel: Channel, turn: Turn) -> int:
    """Start a scheduler, tell the rank, and return its exit code when it has closed."""
    from distributed import Scheduler

    from tsdask_mpi.dashboard import add_dashboard
    from tsdask_mpi.preloads import preload_kwargs

    loop = asyncio.get_running_loop()
    stop: asyncio.Future[float] = loop.create_future()
    dashboard: asyncio.Event = asyncio.Event()

    def ask_stop(grace: float) -> None:
        if not stop.done():
            stop.set_result(grace)

    def order(message: Message) -> None:
        if message.get("op") == "stop":
            ask_stop(float(message.get("grace", STOP_SECONDS)))
        elif message.get("op") == "dashboard":
            dashboard.set()

    channel.listen(order, lambda: ask_stop(0.0))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_stop, STOP_SECONDS)

    kwargs: dict[str, Any] = dict(params.get("kwargs") or {})
    kwargs["dashboard"] = False
    scheduler = Scheduler(security=security_of(params.get("security")), **kwargs, **preload_kwargs(params.get("preload")))
    reasons: list[str] = []
    _note_close(scheduler, reasons)
    await scheduler
    turn.done()
    port = getattr(getattr(scheduler, "http_server", None), "port", None)
    channel.send({"event": "ready", "address": scheduler.address, "identity": scheduler.identity(), "dashboard": port})

    async def dashboard_later() -> None:
        await dashboard.wait()
        await add_dashboard(scheduler, kwargs.get("http_prefix") or "/")

    extra = loop.create_task(dashboard_later()) if params.get("dashboard") else None
    finished = loop.create_task(scheduler.finished())
    await asyncio.wait([finished, stop], return_when=asyncio.FIRST_COMPLETED)
    if extra is not None:
        extra.cancel()
    if not finished.done():
        channel.send({"event": "closing", "reason": "stop"})
        logs.quiet()
        await asyncio.wait([loop.create_task(scheduler.close()), finished], timeout=stop.result(), return_when=asyncio.FIRST_COMPLETED)
    elif not reasons:
        channel.send({"event": "closing", "reason": "terminate"})
    logs.quiet()
    return 0


def _note_close(scheduler: Any, reasons: list[str]) -> None:
    close = scheduler.close

    async def noted(*args: Any, **kwargs: Any) -> None:
        reasons.append(str(kwargs.get("reason", "terminate")))
        return await close(*args, **kwargs)

    scheduler.close = noted
    scheduler.handlers["terminate"] = noted
