"""
Runs a worker of any class for one request: distributed.Worker, distributed.Nanny, dask_cuda.CUDAWorker, the user's own.

Facts relied on (distributed/worker.py, distributed/scheduler.py, distributed/nanny.py):
- retire_workers sets the worker's status to closing_gracefully by the stream message worker-status-change before it
  removes it (and back, when it gives up); restart and restart_workers remove it straight away. Both end in
  {"op": "close", "reason": "scheduler-remove-worker"} and so in Worker.close(reason=…).
- Scheduler.close sends {"op": "close", "reason": "scheduler-close"}; a broken connection ends in
  Worker.close(reason="worker-handle-scheduler-connection-broken"); `lifetime` in
  close_gracefully(reason="worker-lifetime-reached").
- retire_workers(close_workers=False) leaves the worker to find out by its next heartbeat:
  Worker.close(reason="worker-heartbeat-missing"), in old versions Worker.close(nanny=False). The RPC `terminate` is
  Worker.close() without a reason.
- A worker under a Nanny closes it by Nanny.close_gracefully(reason=its own); Client.restart kills it by Nanny.kill
  instead.
- Worker.close waits for its tasks' threads for up to 30 s, beside the event loop.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import dask
from tsdask_mpi import control_commands, gate_environment, logs, nanny_shim, token_gate
from tsdask_mpi.channel import Channel, SlotLine
from tsdask_mpi.classes import (
    arguments_for,
    call_with,
    import_class,
    runs_workers_elsewhere,
    with_inner_class,
)
from tsdask_mpi.compat import contact_address, nanny_methods, process_memory
from tsdask_mpi.compat.close_reasons import ENDED_WITH_SCHEDULER, given_reason, reason_of
from tsdask_mpi.contract import (
    CLOSE_SECONDS,
    NANNY_REPLY_SECONDS,
    QUICK_CLOSE_SECONDS,
    UNSTARTED_CLOSE_SECONDS,
    ChildCommandAddress,
    ChildEvent,
    CloseReason,
    WorkerParams,
)
from tsdask_mpi.loop import first_of
from tsdask_mpi.preloads import keep_failures, nanny_preload_kwargs, preload_kwargs
from tsdask_mpi.secure import security_of

QUICK = (*ENDED_WITH_SCHEDULER, "restart")


async def run_worker(params: WorkerParams, channel: Channel, slot: SlotLine) -> int:
    """
    Start a worker once the scheduler's address is known, tell the rank, and return the exit code when it has closed.
    """
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def take_address(message: ChildCommandAddress) -> None:
        if not address.done() and isinstance(message.get("scheduler"), str):
            address.set_result(message["scheduler"])

    logs.drop_lost_peers()
    logs.shorten_folder_troubles()
    stop = control_commands.listen(channel, address=take_address)
    if params.get("scheduler"):
        address.set_result(str(params["scheduler"]))
    else:
        slot.waiting()
        await first_of(address, stop)
        if not stop.done():
            await slot.ask(stop)
    if stop.done():
        return 0
    worker = make_worker(params, address.result())
    return await live(worker, channel, slot, stop)


def make_worker(params: WorkerParams, scheduler: str) -> Any:
    """Return the worker, not yet started; raises ImportError for its class, TypeError for the user's arguments."""
    contact_address.by_name(params.get("contact_host"))
    cls = import_class(params.get("worker_class") or "distributed.Worker")
    preload = list(params.get("preload") or [])
    elsewhere = runs_workers_elsewhere(cls)
    if elsewhere:
        preload = gate_environment.pass_on(params.get("token_file"), preload)
    elif params.get("token_file"):
        token_gate.install_from(params["token_file"])
    security = security_of(params.get("security"), shared=not elsewhere)
    own = with_inner_class(cls, params.get("user_kwargs") or {})
    offered = {
        **place_for_files(params),
        **(params.get("kwargs") or {}),
        "security": security,
        **preload_kwargs(preload),
        **nanny_preload_kwargs(params.get("preload_nanny")),
    }
    worker = cls(scheduler, **{**arguments_for(cls, offered), **own})
    process_memory.count_own(worker)
    return worker


def place_for_files(params: WorkerParams) -> dict[str, str]:
    """
    Return where the worker spills to when neither the user nor Dask's configuration (`temporary-directory`) says: the
    launch's own folder.
    """
    if not params.get("scratch") or dask.config.get("temporary-directory", None):
        return {}
    return {"local_directory": str(params["scratch"])}


async def live(worker: Any, channel: Channel, slot: SlotLine, stop: asyncio.Future[float]) -> int:
    """Start a worker and stay with it until it has closed, by itself or because the rank says so."""
    loop = asyncio.get_running_loop()
    closing: asyncio.Future[CloseReason] = loop.create_future()
    watch_close(worker, closing, channel)
    slot.folder(nanny_methods.work_folder(worker))
    check_preloads = keep_failures()
    starting = asyncio.ensure_future(_started(worker))
    await first_of(starting, stop)
    slot.done()
    if not stop.done():
        await starting
        check_preloads()
        channel.send(ready(worker))
        finished = asyncio.ensure_future(worker.finished())
        await first_of(closing, finished, stop)
        if not stop.done():
            if not closing.done():
                closing.set_result("nanny")
                channel.send({"event": "closing", "reason": "nanny"})
            limit = QUICK_CLOSE_SECONDS if closing.result() in QUICK else CLOSE_SECONDS
            await first_of(finished, stop, timeout=limit)
            logs.mute()
            return 0
    if not closing.done():
        closing.set_result("stop")
        channel.send({"event": "closing", "reason": "stop"})
    logs.mute()
    # One that is still starting holds nothing yet; a Nanny would wait for its whole start before it closes. Its
    # processes go with its group.
    limit = stop.result() if starting.done() else min(stop.result(), UNSTARTED_CLOSE_SECONDS)
    end = asyncio.ensure_future(call_with(worker.close, {"executor_wait": False, "timeout": limit, "reason": "stop"}))
    await first_of(end, timeout=limit)
    return 0


async def _started(worker: Any) -> None:
    await worker


def ready(worker: Any) -> ChildEvent:
    """Return the event for a worker that is registered with its scheduler."""
    address = str(getattr(worker, "worker_address", None) or worker.address)
    name = getattr(worker, "name", None)
    memory = getattr(getattr(worker, "memory_manager", None), "memory_limit", None)
    threads = getattr(getattr(worker, "state", None), "nthreads", None)
    return {
        "event": "ready",
        "kind": "worker",
        "address": address,
        "name": address if name is None else str(name),
        "dashboard": getattr(getattr(worker, "http_server", None), "port", None),
        "nthreads": threads if threads is not None else getattr(worker, "nthreads", None),
        "memory_limit": memory,
        "terminate": terminate_fraction(worker),
        "shared": process_memory.settle(worker),
    }


def terminate_fraction(worker: Any) -> Any:
    """
    Return the part of its limit at which the rank is to end the worker, as Dask's configuration has it; False: never. A
    Nanny, and a class like it, does so itself; one whose own arguments leave it without a limit has none.
    """
    manager = getattr(worker, "memory_manager", None)
    if runs_workers_elsewhere(type(worker)) or (manager is not None and not manager.memory_limit):
        return False
    return dask.config.get("distributed.worker.memory.terminate", None)


def watch_close(worker: Any, closing: asyncio.Future[CloseReason], channel: Channel) -> None:
    """Have `closing` get the reason, and the rank the event, as soon as anything begins to close the worker."""
    in_nanny = not hasattr(worker, "state")
    passed_on: list[str] = []
    called: list[bool] = []
    close = worker.close

    def note(reason: str) -> None:
        if closing.done():
            return
        reason = passed_on[0] if passed_on else reason
        retired = in_nanny or getattr(worker.status, "name", "") == "closing_gracefully"
        closing.set_result(reason_of(reason, retired))
        channel.send({"event": "closing", "reason": closing.result()})
        if closing.result() in ENDED_WITH_SCHEDULER:
            logs.mute()

    async def noted(*args: Any, **kwargs: Any) -> Any:
        """
        Close, the first time; wait for it later, as Dask does itself, but without a traceback for whoever waits no
        longer.
        """
        if called:
            return await worker.finished()
        if closing.done() and closing.result() == "restart":
            await asyncio.sleep(NANNY_REPLY_SECONDS)
        called.append(True)
        note(given_reason(kwargs))
        return await close(*args, **kwargs)

    nanny_methods.replace_method(worker, "close", functools.wraps(close)(noted))
    if not in_nanny and worker.nanny is None:
        nanny_shim.answer_for_nanny(worker, lambda: note("nanny-kill"))
    if in_nanny and hasattr(worker, "close_gracefully"):
        close_gracefully = worker.close_gracefully

        @functools.wraps(close_gracefully)
        def gracefully(*args: Any, **kwargs: Any) -> Any:
            passed_on.append(str(kwargs.get("reason", "nanny-close-gracefully")))
            return close_gracefully(*args, **kwargs)

        nanny_methods.replace_method(worker, "close_gracefully", gracefully)
