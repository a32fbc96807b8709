"""
`tsdask_mpi.Cluster`: a launch of tsdask-mpi as one of Dask's cluster objects, for notebooks and programs that are there
first.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import weakref
from typing import Any

from distributed.comm import CommClosedError
from distributed.core import Status, rpc
from distributed.objects import SchedulerInfo
from distributed.security import Security

from tsdask_mpi import kept, left_open
from tsdask_mpi.adapting import Adapting, adapting
from tsdask_mpi.compat.cluster_objects import OwnCluster
from tsdask_mpi.kept import ClusterStartError, Kept, Source
from tsdask_mpi.scheduler_view import SchedulerView

__all__ = ["Cluster", "ClusterStartError"]


class Cluster(OwnCluster):
    """A cluster of tsdask-mpi, started here, by a batch job, or running already.

    It ends when it is closed or garbage-collected, and when the process that made it ends, also by SIGKILL; nothing of
    it stays. One that was only connected to goes on.

    Parameters
    ----------
    np : int, optional
        Ranks to start on this machine: one is the scheduler, the others are workers.
    n_workers : int, optional
        Workers, instead of `np`; without either there is one rank for each core, and one for the scheduler. With 0 it
        begins without workers, for `scale` and `adapt`.
    start_timeout : float
        Seconds until the scheduler must be up.
    folder : str, optional
        Where the cluster's private folder is made; for workers on other hosts, one that they share. The temporary
        folder by default.
    trust_shared_folder : bool, optional
        Whether the group that may write in that folder is trusted (`--trust-shared-folder`); else no cluster is started
        there.
    scale_options : dict, optional
        Options of `tsdask-mpi scale`, which `scale` and `adapt` submit worker jobs with.
    asynchronous, loop, name
        As Dask's clusters have them.
    **options
        Options of tsdask-mpi: `nthreads=2`, `memory_limit="4GiB"`, `interface="ib0"`, `nanny=False`.

    Raises
    ------
    ClusterStartError
        It did not come up; with what tsdask-mpi said.

    Examples
    --------
    >>> from tsdask_mpi import Cluster
    >>> with Cluster(np=3, dashboard=False) as cluster, cluster.get_client() as client:
    ...     client.submit(sum, range(10)).result()
    45
    """

    _collected = False
    # Whether it has no workers until somebody scales it.
    _begins_empty = False
    _latest: dict[str, Any] = {"workers": {}}
    # Of scale and adapt: the workers that were asked for, and why the last one failed.
    _asked: int | None = None
    _trouble: str | None = None

    def __init__(
        self,
        np: int | None = None,
        *,
        n_workers: int | None = None,
        start_timeout: float = 300.0,
        folder: str | None = None,
        trust_shared_folder: bool | None = None,
        scale_options: dict[str, Any] | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        name: str | None = None,
        _source: Source | None = None,
        **options: Any,
    ) -> None:
        if np is not None and n_workers is not None:
            raise ValueError("np and n_workers say the same twice: np is n_workers and one rank for the scheduler")
        if _source is None:
            self._begins_empty = n_workers == 0
            ranks = np if np is not None else (_cores() if n_workers is None else n_workers or 1) + 1
            options["trust_shared_folder"] = trust_shared_folder
            _source = kept.here(ranks, options, start_timeout, folder)
        self._scale_options: dict[str, Any] = (
            {"batch": "local", "ranks_per_node": 1} if scale_options is None else dict(scale_options)
        )
        self._kept = Kept(_source)
        # `asynchronous` is also true for what a synchronous cluster runs in its event loop.
        self._in_loop = asynchronous
        super().__init__(asynchronous=asynchronous, loop=loop, name=name, quiet=True)
        self.security = Security()
        if not self.asynchronous:
            self._run_loop()
            try:
                self.sync(self._begin)
            except BaseException:
                self._fail()
                raise
            left_open.remember(self)

    @classmethod
    def batch(
        cls,
        system: str,
        *,
        launch: dict[str, Any] | None = None,
        start_timeout: float = 3600.0,
        folder: str | None = None,
        trust_shared_folder: bool | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        name: str | None = None,
        **job: Any,
    ) -> Cluster:
        """Submit a job that is the cluster, and return it when it is up.

        Parameters
        ----------
        system : str
            slurm, pbs, sge, lsf, flux or htcondor.
        launch : dict, optional
            Options of the launch: `{"nthreads": 2}`.
        start_timeout : float
            Seconds that the job may wait and start.
        folder : str, optional
            A folder that the job's hosts share; the working directory by default.
        trust_shared_folder : bool, optional
            Whether the group that may write in that folder is trusted; else no job is submitted there.
        **job
            Options of `tsdask-mpi script`: `nodes=2`, `ranks_per_node=16`, `time="2h"`, `queue="compute"`,
            `account="a1"`.

        Examples
        --------
        A job of four ranks, one of them the scheduler:

        >>> with Cluster.batch("slurm", nodes=2, ranks_per_node=2, time="10m") as cluster:  # doctest: +SKIP
        ...     cluster.wait_for_workers(3)
        ...     len(cluster.workers)
        3
        """
        if name is not None:
            job["name"] = name
        options = {"trust_shared_folder": trust_shared_folder, **(launch or {})}
        source = kept.batch(system, job, options, start_timeout, folder)
        rest = {"asynchronous": asynchronous, "loop": loop, "name": name}
        return cls(_source=source, scale_options={"batch": system}, **rest)

    @classmethod
    def connect(
        cls,
        cluster: str = "scheduler.json",
        *,
        trust_shared_folder: bool = False,
        scale_options: dict[str, Any] | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        name: str | None = None,
    ) -> Cluster:
        """Return a cluster that runs: by the path of its scheduler.json, or by the name that `tsdask-mpi list` shows.

        Closing it leaves it running.

        Parameters
        ----------
        cluster : str
            The path or the name; the scheduler.json of the working directory by default.
        trust_shared_folder : bool
            Whether the group that may write in the file's folder is trusted; else it is not believed there.
        scale_options, asynchronous, loop, name
            As for the class itself.

        Examples
        --------
        >>> with Cluster(np=2) as cluster, Cluster.connect(cluster.scheduler_file) as same:
        ...     same.scheduler_address == cluster.scheduler_address
        True
        """
        source = Source(cluster, trust=trust_shared_folder)
        rest = {"asynchronous": asynchronous, "loop": loop, "name": name}
        return cls(_source=source, scale_options=scale_options or {}, **rest)

    # Start and end.

    def __await__(self) -> Any:
        async def ready() -> Cluster:
            if self.status == Status.created:
                try:
                    await self._begin()
                except BaseException:
                    self._fail()
                    raise
            return self

        return ready().__await__()

    async def _begin(self) -> None:
        info = await asyncio.get_running_loop().run_in_executor(None, self._kept.wait)
        self._file: str = info["file"]
        files = info.get("credentials")
        if files:
            self.security = Security(
                require_encryption=True,
                tls_ca_file=files["caFile"],
                tls_client_cert=files["cert"],
                tls_client_key=files["key"],
            )
        self.scheduler_comm = rpc(info["address"], connection_args=self.security.get_connection_args("client"))
        # Where nobody closes it: Dask would tell of the connections that were left open.
        weakref.finalize(self, left_open.close_later, self.loop, self.scheduler_comm).atexit = False
        await self._refresh()
        self.status = Status.running
        if self._in_loop:
            self._refresh_often()
        if self._begins_empty:
            await self._retire_first()

    async def _retire_first(self) -> None:
        """Let the worker go that a launch wants at least."""
        await self._until_in(1, 60)
        own = list(self._latest["workers"])
        await self.scheduler_comm.retire_workers(workers=own, close_workers=True, remove=True)
        await self._refresh()

    def _fail(self) -> None:
        self._kept.end()
        self.status = Status.closed
        if not self.asynchronous:
            self._leave_loop()

    async def _end(self) -> None:
        if self.status == Status.closed:
            return
        self.status = Status.closing
        await self._adapt_no_more()
        for callback in self.periodic_callbacks.values():
            callback.stop()
        if self.scheduler_comm is not None:
            await self.scheduler_comm.close_rpc()
        await asyncio.get_running_loop().run_in_executor(None, self._kept.end)
        self.status = Status.closed

    def close(self, timeout: float | None = None) -> Any:
        """End the cluster, and return when nothing of it is left; one that was connected to goes on.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.
        """
        closing = super().close(timeout=timeout)
        if not self.asynchronous:
            self._leave_loop()
        return closing

    def __del__(self) -> None:
        """
        Warn, as Dask's clusters do, of one that was not closed: without asking its scheduler, for which it is too late.
        """
        self._collected = True
        super().__del__()

    # What Dask's own classes are asked for.

    @property
    def _may_ask(self) -> bool:
        return self.status == Status.running and not self._collected and not self.asynchronous

    async def _refresh(self) -> None:
        try:
            try:
                self._latest = await self.scheduler_comm.identity(n_workers=-1)
            except TypeError:
                self._latest = await self.scheduler_comm.identity()  # before 2025.4
        except (OSError, CommClosedError):
            if self.status == Status.created:
                raise

    @property
    def scheduler_info(self) -> Any:
        """What the scheduler tells of itself and its workers: now, or, asked from the event loop, what it told last."""
        if self._may_ask:
            self.sync(self._refresh)
        return SchedulerInfo(self._latest)

    @scheduler_info.setter
    def scheduler_info(self, value: Any) -> None:
        self._latest = dict(value)

    @property
    def workers(self) -> dict[Any, Any]:
        """The workers that are in: name to what the scheduler knows of each."""
        return {worker["name"]: worker for worker in self.scheduler_info["workers"].values()}

    @property
    def scheduler(self) -> SchedulerView:
        """What can be asked of the scheduler, which is another process: `cluster.scheduler.address`, `.workers`."""
        return SchedulerView(self)

    @property
    def scheduler_file(self) -> str:
        """
        The path of the cluster's scheduler.json, for `tsdask-mpi status`, `Client(scheduler_file=…)` and the like
        (str).
        """
        return self._file

    async def _dashboard_url(self) -> str:
        told = await asyncio.get_running_loop().run_in_executor(None, self._kept.source.connect, self._file)
        return json.loads(told)["dashboard"] or ""

    def dashboard_url(self) -> Any:
        """
        Return the dashboard's link with the cluster's token, which opens it for a browser that reaches the scheduler's
        host; empty without a dashboard.

        Whoever has it sees the cluster: it is not shown by the widget, and what a notebook prints is saved with it.

        Returns
        -------
        str
            An awaitable of it where the cluster is asynchronous.

        Examples
        --------
        >>> with Cluster(np=2) as cluster:
        ...     "?token=" in cluster.dashboard_url()
        True
        """
        return self.sync(self._dashboard_url)

    def scale(self, n: int) -> Any:
        """
        Bring the cluster to `n` workers: by worker jobs up, and down by retiring those whose results others can take.
        It ends what `adapt` has begun.

        Parameters
        ----------
        n : int
            Workers in all. ClusterStartError says why their jobs could not be submitted.

        Examples
        --------
        >>> with Cluster(np=2) as cluster:
        ...     cluster.scale(2)
        ...     cluster.wait_for_workers(2)
        ...     len(cluster.workers)
        2
        """
        return self.sync(self._scale, int(n))

    def _job_options(self) -> dict[str, Any]:
        """The options of worker jobs; their Python is this one where nobody said otherwise."""
        options = dict(self._scale_options)
        if self._kept.source.trust:
            options["trust_shared_folder"] = True
        if not options.keys() & {"script", "environment"}:
            options["env"] = [f"TSDASK_PYTHON={sys.executable}", *options.get("env", [])]
        return options

    async def _scale(self, n: int) -> None:
        self._asked, self._trouble = n, None
        try:
            if n < 0:
                raise ValueError(f"scale({n}): a cluster has 0 workers or more")
            # Two that scale one cluster would work against each other.
            await self._adapt_no_more()
            await self._bring(n)
        except Exception as error:
            self._trouble = str(error)
            raise

    async def _adapt_no_more(self) -> None:
        adapting, self._adapting = self._adapting, None
        if adapting is not None:
            await asyncio.get_running_loop().run_in_executor(None, adapting.stop)

    async def _bring(self, n: int) -> None:
        line = ["scale", str(n), self._file, *kept.words(self._job_options())]
        await asyncio.get_running_loop().run_in_executor(None, lambda: kept.run(*line))
        await self._refresh()
        # Those of the launch itself are no jobs: Dask retires them; a group's are left alone.
        if "group" not in self._scale_options and len(self._latest["workers"]) > n:
            surplus = await self.scheduler_comm.workers_to_close(n=len(self._latest["workers"]) - n)
            await self.scheduler_comm.retire_workers(workers=surplus, close_workers=True, remove=True)
            await self._refresh()

    def adapt(self, minimum: int = 0, maximum: int | None = None, **options: Any) -> Adapting:
        """
        Follow the work between `minimum` and `maximum` workers by worker jobs, until `stop()` of what it returns, or
        the end.

        Parameters
        ----------
        minimum, maximum : int
            Workers; `maximum` is needed.
        **options
            `interval`, `wait_count` and `target_duration`, as Dask's Adaptive has them.

        Returns
        -------
        Adapting
            What ends it by `stop()`, with the jobs that it submitted.

        Examples
        --------
        >>> with Cluster(np=2) as cluster:
        ...     following = cluster.adapt(minimum=2, maximum=3)
        ...     cluster.wait_for_workers(2)
        ...     following.stop()
        """
        if self._adapting is not None:
            self._adapting.stop()
            self._adapting = None
        self._asked, self._trouble = None, None
        try:
            started = adapting(self._file, minimum, maximum, options, kept.words(self._job_options()))
        except Exception as error:
            self._trouble = str(error)
            raise
        self._adapting = started
        return started

    async def _until_in(self, n_workers: int = 1, timeout: Any = None) -> None:
        from dask.utils import parse_timedelta

        async def enough() -> None:
            while len(self._latest["workers"]) < n_workers:
                await asyncio.sleep(0.1)
                await self._refresh()

        try:
            await asyncio.wait_for(enough(), parse_timedelta(timeout) if timeout else None)
        except asyncio.TimeoutError:
            there = len(self._latest["workers"])
            raise TimeoutError(f"Only {there} of {n_workers} workers were in after {timeout}") from None

    def wait_for_workers(self, n_workers: int = 1, timeout: Any = None) -> Any:
        """Return when so many workers are in.

        Parameters
        ----------
        n_workers : int
            Workers in all.
        timeout : float or str, optional
            Seconds, or text such as "2m", after which it is a TimeoutError that fewer are in.
        """
        return self.sync(self._until_in, n_workers, timeout=timeout)

    def _scaling_notes(self) -> list[str]:
        waited = self._asked is not None and self._asked > len(self._latest["workers"])
        return [*([f"Asked for: {self._asked}"] if waited else []), *([self._trouble] if self._trouble else [])]

    def sync(self, func: Any, *args: Any, **words: Any) -> Any:
        """As Dask's clusters do, run a coroutine and wait for it; of a cluster that is closed, say so."""
        if self.status == Status.closed:
            raise RuntimeError(f"{type(self).__name__} is closed: make another one, or connect to one that runs")
        return super().sync(func, *args, **words)

    def _own_log(self) -> str:
        return self._kept.said() + ("" if self._adapting is None else self._adapting.said())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else (os.cpu_count() or 1)
