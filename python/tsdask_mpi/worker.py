"""Runs a worker of any class for one request: distributed.Worker, distributed.Nanny, dask_cuda.CUDAWorker, the user's own.

Facts relied on (distributed/worker.py, distributed/scheduler.py, distributed/nanny.py):
- retire_workers sets the worker's status to closing_gracefully by the stream message worker-status-change before it removes it
  (and back, when it gives up); restart and restart_workers remove it straight away. Both end in
  {"op": "close", "reason": "scheduler-remove-worker"} and Worker.close(reason=…).
- Scheduler.close sends {"op": "close", "reason": "scheduler-close"}; a broken connection ends in
  Worker.close(reason="worker-handle-scheduler-connection-broken"); `lifetime` in close_gracefully(reason="worker-lifetime-reached").
- A worker under a Nanny passes its reason on by Nanny.close_gracefully(reason=…).
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import signal
from typing import Any

from tsdask_mpi import logs
from tsdask_mpi.channel import Channel, Turn
from tsdask_mpi.secure import security_of
from tsdask_mpi.wire import Message

STOP_SECONDS = 2.0

REASONS = {
    "scheduler-close": "scheduler-closed",
    "scheduler-close-worker": "retired",
    "worker-handle-scheduler-connection-broken": "scheduler-lost",
    "worker-heartbeat-missing": "restart",
    "worker-lifetime-reached": "lifetime",
    "scheduler-remove-worker": "restart",
}


def import_class(name: str) -> type:
    """Return the class that a dotted name leads to; raises ImportError."""
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ImportError(f"{name!r} is not a dotted name of a class, as in distributed.Worker")
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError as error:
        raise ImportError(f"module {module} has no {attribute}") from error


def accepted(cls: type, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return those arguments that the class, or a class that it hands its **kwargs to, names."""
    names: set[str] = set()
    for base in cls.__mro__:
        init = base.__dict__.get("__init__")
        if init is None or base is object:
            continue
        parameters = inspect.signature(init).parameters.values()
        names.update(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return {name: value for name, value in kwargs.items() if name in names}


def reason_of(reason: str, status_before: str) -> str:
    """Translate Dask's reason for closing, and the status it found, into the word that the rank acts on."""
    if reason in ("scheduler-remove-worker", "worker-heartbeat-missing") and status_before == "closing_gracefully":
        return "retired"
    return REASONS.get(reason, reason)


async def run_worker(params: Message, channel: Channel, turn: Turn) -> int:
    """Start a worker once the scheduler's address is known, tell the rank, and return its exit code when it has closed."""
    loop = asyncio.get_running_loop()
    address: asyncio.Future[str] = loop.create_future()
    stop: asyncio.Future[float] = loop.create_future()

    def ask_stop(grace: float) -> None:
        if not stop.done():
            stop.set_result(grace)

    def order(message: Message) -> None:
        if message.get("op") == "stop":
            ask_stop(float(message.get("grace", STOP_SECONDS)))
        elif message.get("op") == "address" and not address.done():
            address.set_result(str(message["scheduler"]))

    channel.listen(order, lambda: ask_stop(0.0))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_stop, STOP_SECONDS)

    if params.get("scheduler"):
        address.set_result(params["scheduler"])
    else:
        turn.waiting()
        await asyncio.wait([address, stop], return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            return 0
        await turn.ask()
    return await _serve(params, address.result(), channel, turn, stop)


async def _serve(params: Message, scheduler: str, channel: Channel, turn: Turn, stop: asyncio.Future[float]) -> int:
    from tsdask_mpi.preloads import preload_kwargs

    loop = asyncio.get_running_loop()
    cls = import_class(params.get("class") or "distributed.Worker")
    kwargs = accepted(cls, {**(params.get("kwargs") or {}), "security": security_of(params.get("security")), **preload_kwargs(params.get("preload"))})
    worker = cls(scheduler, **{**kwargs, **(params.get("user_kwargs") or {})})
    reasons: list[str] = []
    _note_close(worker, channel, reasons)
    starting = loop.create_task(_start(worker))
    await asyncio.wait([starting, stop], return_when=asyncio.FIRST_COMPLETED)
    turn.done()
    if starting.done():
        starting.result()
        channel.send(_ready(worker))
        finished = loop.create_task(worker.finished())
        await asyncio.wait([finished, stop], return_when=asyncio.FIRST_COMPLETED)
        if finished.done():
            logs.quiet()
            return 0
    reasons.append("stop")
    channel.send({"event": "closing", "reason": "stop"})
    logs.quiet()
    closing = loop.create_task(worker.close(**accepted_call(worker.close, {"executor_wait": False, "timeout": stop.result()})))
    await asyncio.wait([closing], timeout=stop.result())
    return 0


def accepted_call(function: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return those arguments that a function names."""
    names = inspect.signature(function).parameters
    return {name: value for name, value in kwargs.items() if name in names}


async def _start(worker: Any) -> None:
    await worker


def _ready(worker: Any) -> Message:
    server = getattr(worker, "http_server", None)
    memory = getattr(getattr(worker, "memory_manager", None), "memory_limit", None)
    state = getattr(worker, "state", None)
    return {
        "event": "ready",
        "address": getattr(worker, "worker_address", None) or worker.address,
        "name": worker.name,
        "dashboard": getattr(server, "port", None),
        "nthreads": getattr(state, "nthreads", None) or getattr(worker, "nthreads", None),
        "memory_limit": memory,
    }


def _note_close(worker: Any, channel: Channel, reasons: list[str]) -> None:
    close = worker.close

    def note(reason: str) -> None:
        if not reasons:
            status = getattr(worker.status, "name", str(worker.status))
            reasons.append(reason_of(reason, status))
            channel.send({"event": "closing", "reason": reasons[0], "dask": reason})

    async def noted(*args: Any, **kwargs: Any) -> Any:
        note(str(kwargs.get("reason", "worker-close")))
        return await close(*args, **kwargs)

    noted.__signature__ = inspect.signature(close)  # type: ignore[attr-defined]
    worker.close = noted
    for table in (worker.handlers, worker.stream_handlers):
        for name, handler in table.items():
            if handler == close:
                table[name] = noted
