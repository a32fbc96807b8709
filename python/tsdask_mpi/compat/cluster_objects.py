"""distributed's Cluster as a base for clusters of ours.

Relies on distributed/deploy/cluster.py Cluster: _start() connects and _close() disconnects, both coroutines;
_get_logs() is the one behind get_logs(); the widget offers scaling where _supports_scaling, and says that a cluster
adapts by `_adaptive.periodic_callback`; _widget() makes it, and has it show scheduler_info and _scaling_status() again
and again, from the event loop; _loop_runner runs the event loop of a synchronous cluster; _wait_for_workers(), which
newer releases have, waits with a time-out. distributed/deploy/spec.py SpecCluster: _correct_state() starts and ends
workers; what is in _instances is closed at the interpreter's end. distributed/utils.py SyncMethodMixin: _asynchronous
is its default. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

import functools
import html
import weakref
from collections.abc import Callable
from typing import Any

from distributed.core import Status
from distributed.deploy.cluster import Cluster
from distributed.utils import Log
from tornado.ioloop import PeriodicCallback

#: How often a cluster's workers are asked after for those who look from the event loop, in ms.
REFRESH = 1000


@functools.cache
def probe() -> str | None:
    """Say what is missing."""
    from .names import lacking, written_in

    absent = lacking(
        "distributed.deploy.cluster.Cluster",
        Cluster,
        "_start",
        "_close",
        "_get_logs",
        "_supports_scaling",
        "_widget",
        "_scaling_status",
    )
    written = written_in(Cluster.__init__)
    unwritten = (name for name in ("_loop_runner", "_adaptive") if name not in written)
    return absent or next((f"distributed.deploy.cluster.Cluster.{name}" for name in unwritten), None)


class OwnCluster(Cluster):
    """
    A Cluster that a class of ours says the start, the end and the log of; before another class of cluster it takes the
    place of that one's.
    """

    _supports_scaling = True

    async def _begin(self) -> None:
        """Connect."""

    async def _end(self) -> None:
        """Disconnect as Dask does."""
        await Cluster._close(self)

    def _own_log(self) -> str | None:
        """Return what get_logs() shows of the cluster itself; None for what Dask has."""
        return None

    async def _refresh(self) -> None:
        """Ask the scheduler after its workers."""

    def _scaling_notes(self) -> list[str]:
        """Return what the widget shows of scaling, beside what Dask says of it."""
        return []

    def _refresh_often(self) -> None:
        """Ask again and again, in the event loop, which is where this is called."""
        if "launch" in self.periodic_callbacks:
            return
        # By a weak reference: the event loop must not keep alive what nobody else does.
        reference = weakref.ref(self)

        async def refresh() -> None:
            cluster = reference()
            if cluster is None or cluster.status != Status.running:
                callback.stop()
            else:
                await cluster._refresh()

        callback = PeriodicCallback(refresh, REFRESH)
        self.periodic_callbacks["launch"] = callback
        callback.start()

    def _widget(self) -> Any:
        # It looks from the event loop, where nobody may wait for an answer.
        self.loop.add_callback(self._refresh_often)
        return super()._widget()

    def _scaling_status(self) -> str:
        notes = "".join(f"<p style='white-space: pre-wrap'>{html.escape(note)}</p>" for note in self._scaling_notes())
        return f"{super()._scaling_status()}{notes}"

    async def _start(self) -> None:
        await self._begin()

    async def _close(self) -> None:
        await self._end()

    async def _correct_state(self) -> None:
        return

    async def _get_logs(self, cluster: bool = True, scheduler: bool = True, workers: Any = True) -> Any:
        own = self._own_log() if cluster else None
        logs = await Cluster._get_logs(self, cluster=cluster and own is None, scheduler=scheduler, workers=workers)
        if own is not None:
            logs["Cluster"] = Log(own)
        return logs

    def _run_loop(self) -> None:
        """Have the event loop run, as it must before anything synchronous."""
        self._loop_runner.start()

    def _leave_loop(self) -> None:
        """End the event loop, if it is this cluster's own."""
        self._loop_runner.stop()

    @property
    def _adapting(self) -> Any:
        """What adapt() has begun; None where it has not been called."""
        return self._adaptive

    @_adapting.setter
    def _adapting(self, value: Any) -> None:
        self._adaptive = value

    def _waiting(self) -> Callable[..., Any] | None:
        """Return Dask's coroutine that waits for so many workers, where this release has one."""
        found: Callable[..., Any] | None = getattr(super(), "_wait_for_workers", None)
        return found

    def _be_asynchronous(self, value: bool) -> None:
        self._asynchronous = value

    def _close_at_exit(self) -> None:
        """Have Dask close this cluster at the script's end, where it does so for clusters of this kind."""
        instances = getattr(type(self), "_instances", None)
        if instances is not None:
            instances.add(self)
