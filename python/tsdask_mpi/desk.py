"""
What `tsdask-mpi status`, `tsdask-mpi stop` and rank 0 ask a scheduler for, over its own RPC: only holders of the
cluster's credentials reach it.

The same figures stand on the scheduler's /metrics, where prometheus_client is there.

Facts relied on (distributed/scheduler.py, distributed/core.py):
- `Scheduler.handlers` maps the names of operations to functions; keyword arguments come from the message.
- `Scheduler.task_prefixes` holds a prefix's tasks by state: `states` since 2023.3, `active_states` before, which leaves
  finished groups out.
- `WorkerState.metrics` is the worker's last heartbeat: `cpu` (percent of one core), `memory` (bytes), `spilled_bytes`,
  `executing` (tasks).
- `WorkerState.last_seen` is when the last heartbeat came, by the scheduler's clock; 0 before the first one until 2023.
- `Scheduler.transition_counter` goes up with each change of a task's state; `WorkerState.processing` holds the tasks of
  a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from tsdask_mpi.channel import Channel
from tsdask_mpi.compat import performance_report
from tsdask_mpi.contract import LAST_REPORT_SECONDS, REPORT_ASKED_SECONDS
from tsdask_mpi.wire import Message

LOOK_SECONDS = 5.0
#: A worker is silent when nothing has come from it for so long; Dask's heartbeats grow rarer with the workers, up to a
#: second for each 200.
SILENT_SECONDS = 20.0
SILENT_SECONDS_EACH = 0.02


class Idle:
    """How long there has been no work, and what that cost: seconds of the workers' threads that nothing ran on."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._transitions = -1
        self._looked = time.time()
        self.since: float | None = self._looked
        self.thread_seconds = 0.0
        self._late: float | None = None

    def look(self) -> None:
        """Take account of the time since the last look."""
        now = time.time()
        if now - self._looked > 2 * LOOK_SECONDS:
            self._late = now
        workers = list(self._scheduler.workers.values())
        busy = sum(min(worker.nthreads, len(worker.processing)) for worker in workers)
        threads = sum(worker.nthreads for worker in workers)
        self.thread_seconds += (threads - busy) * (now - self._looked)
        transitions = getattr(self._scheduler, "transition_counter", 0)
        if busy > 0 or transitions != self._transitions:
            self.since = None if busy > 0 else now
        self._transitions = transitions
        self._looked = now

    def silent(self) -> list[list[Any]]:
        """
        Return name, host and seconds of the workers that nothing has come from for long; none where the scheduler
        itself was late and has yet to hear them.
        """
        now = time.time()
        workers = self._scheduler.workers.values()
        long = SILENT_SECONDS + SILENT_SECONDS_EACH * len(workers)
        if self._late is not None and now - self._late < long:
            return []
        ages = ((worker, now - worker.last_seen) for worker in workers if worker.last_seen)
        return [[str(worker.name), worker.host, round(age)] for worker, age in ages if age > long]


class Workers(SchedulerPlugin):
    """How many workers there were, how many came back after they were lost, and when the first came."""

    name = "tsdask-desk"

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.restarts = 0
        self.first: float | None = None

    def add_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        """Count a worker that has registered."""
        name = str(scheduler.workers[worker].name)
        self.first = self.first or time.time()
        self.restarts += name in self.names
        self.names.add(name)


class Figures:
    """A collector of prometheus_client: what Dask's own figures leave out."""

    def __init__(self, idle: Idle, workers: Workers, launched: float | None) -> None:
        self._idle = idle
        self._workers = workers
        self._launched = launched

    def collect(self) -> Iterator[Any]:
        """Yield the figures as they are now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        self._idle.look()
        since = self._idle.since
        workers = self._workers
        yield CounterMetricFamily(
            "tsdask_idle_thread_seconds", "Seconds of workers' threads without work", value=self._idle.thread_seconds
        )
        yield GaugeMetricFamily(
            "tsdask_idle_seconds", "Seconds since there was work", value=0.0 if since is None else time.time() - since
        )
        yield CounterMetricFamily("tsdask_worker_restarts", "Workers that came back", value=workers.restarts)
        yield GaugeMetricFamily("tsdask_worker_ranks", "Ranks whose worker was ever in", value=len(workers.names))
        if self._launched is not None and workers.first is not None:
            seconds = max(0.0, workers.first - self._launched)
            yield GaugeMetricFamily("tsdask_startup_seconds", "From the start to the first worker", value=seconds)


class LastReport:
    """
    Dask's own report of a scheduler that is about to close: made while its workers still answer, for rank 0, which has
    asked for it beforehand.
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._asked: asyncio.Future[Message] | None = None
        self._taken = asyncio.Event()
        self._made: asyncio.Future[None] | None = None

    async def asked(self) -> Message:
        """
        Return the report as soon as the scheduler is about to close; after REPORT_ASKED_SECONDS without that, nothing,
        and whoever asked asks again.
        """
        performance_report.keep_tasks(self._scheduler)
        self._asked = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(self._asked, REPORT_ASKED_SECONDS)
        except asyncio.TimeoutError:
            return {}

    def taken(self) -> Message:
        """Hear that the report has come."""
        self._taken.set()
        return {}

    async def make(self) -> None:
        """
        Make the report and wait until it is taken, LAST_REPORT_SECONDS at most; once, however many close the scheduler,
        and not at all where nobody has asked.
        """
        if self._made is None:
            self._made = asyncio.ensure_future(self._make())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._made), LAST_REPORT_SECONDS)

    async def _make(self) -> None:
        asked = self._asked
        if asked is None or asked.done():
            return
        page = await report_of(self._scheduler)
        if not asked.done():
            asked.set_result(page)
        await self._taken.wait()


async def report_of(scheduler: Any) -> Message:
    """Return Dask's own report, or why there is none."""
    try:
        return {"page": await performance_report.page(scheduler, "")}
    except ImportError as error:
        return {
            "problem": f"Dask draws it with Bokeh, which is not there ({error}); `python -m pip install --upgrade bokeh`"
        }
    except Exception as error:
        return {"problem": f"{type(error).__name__}: {error}"}


def answer(scheduler: Any, channel: Channel, launched: float | None = None) -> Callable[[], Awaitable[None]]:
    """
    Have the scheduler answer the operations of ours, whose names begin with `tsdask_`; `launched` is when the launch
    began (seconds since 1970).

    Returns what is to be done before it closes by itself.
    """
    idle = Idle(scheduler)
    workers = Workers()
    last = LastReport(scheduler)
    scheduler.add_plugin(workers, name=Workers.name, idempotent=True)

    def status() -> Message:
        idle.look()
        return {
            "tasks": task_counts(scheduler),
            "finished": finished(scheduler),
            "idle_since": idle.since,
            "idle_thread_seconds": idle.thread_seconds,
            "silent": idle.silent(),
        }

    def sample() -> Message:
        idle.look()
        return {
            "workers": [worker_sample(worker) for worker in scheduler.workers.values()],
            "finished": finished(scheduler),
            "idle": idle.thread_seconds,
            "silent": idle.silent(),
        }

    ending: list[asyncio.Future[None]] = []

    def stop(now: bool = False) -> Message:
        def tell(_: object = None) -> None:
            channel.send({"event": "stop-asked", "now": bool(now)})

        if now:
            tell()
        else:
            # Whoever asks does not wait for the report.
            ending.append(asyncio.ensure_future(last.make()))
            ending[-1].add_done_callback(tell)
        return {"status": "OK"}

    scheduler.handlers["tsdask_status"] = status
    scheduler.handlers["tsdask_sample"] = sample
    scheduler.handlers["tsdask_report"] = lambda: report_of(scheduler)
    scheduler.handlers["tsdask_last_report"] = last.asked
    scheduler.handlers["tsdask_report_taken"] = last.taken
    scheduler.handlers["tsdask_stop"] = stop
    scheduler.handlers["tsdask_targets"] = lambda: page_addresses(scheduler)
    # Dask's own page of figures has imported it, where it is there.
    client = sys.modules.get("prometheus_client")
    if client is not None:
        client.REGISTRY.register(Figures(idle, workers, launched))
    loop = asyncio.get_running_loop()

    def look() -> None:
        idle.look()
        loop.call_later(LOOK_SECONDS, look)

    loop.call_later(LOOK_SECONDS, look)
    return last.make


def page_addresses(scheduler: Any) -> list[str]:
    """Return where each worker serves its pages and figures, as host:port."""
    found = ((worker.host, worker.services.get("dashboard")) for worker in scheduler.workers.values())
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found if port]


def worker_sample(worker: Any) -> list[Any]:
    """
    Return a worker's name, processor (percent of one core), resident and spilled bytes, and running tasks, by its last
    heartbeat.
    """
    metrics = worker.metrics
    spilled = metrics.get("spilled_bytes")
    on_disk = spilled.get("disk", 0) if isinstance(spilled, dict) else 0
    numbers = (metrics.get("cpu"), metrics.get("memory"), on_disk, metrics.get("executing"))
    return [str(worker.name), *(round(number or 0) for number in numbers)]


def finished(scheduler: Any) -> int:
    """Return how many times a task's result was made or moved into memory since the start."""
    return sum(int(prefix.state_counts["memory"]) for prefix in scheduler.task_prefixes.values())


def task_counts(scheduler: Any) -> dict[str, int]:
    """Return how many tasks are in each state; those that were released are not known to the scheduler any more."""
    counts: Counter[str] = Counter()
    for prefix in scheduler.task_prefixes.values():
        states = getattr(prefix, "states", None)
        counts.update(states if states is not None else prefix.active_states)
    return {str(state): int(number) for state, number in counts.items() if number > 0}
