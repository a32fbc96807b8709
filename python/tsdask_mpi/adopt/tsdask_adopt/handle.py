"""
A cluster object, as `distributed` has them, that stands for the cluster of this launch. Closing it leaves that cluster
running.
"""

import functools
import os
from typing import Any

from distributed import Scheduler, Worker
from distributed.comm import CommClosedError
from distributed.core import Status, rpc
from distributed.deploy.cluster import Cluster
from distributed.objects import SchedulerInfo
from distributed.security import Security

from . import changes, growth, notes
from .compat import clients
from .compat.cluster_objects import OwnCluster
from .scheduler_view import SchedulerView, WorkerEntry, WorkerSpecs

ADDRESS = os.environ["DASK_SCHEDULER_ADDRESS"]


class Shared(OwnCluster):
    """What a handle of its own and the one of a plain Client() have in common."""

    _latest: dict[str, Any] = {"workers": {}}

    @property
    def scheduler_info(self):
        """
        What the scheduler tells of itself and its workers now; for who asks from the event loop, what it told last. Old
        Dask's scheduler knows but one subscriber to its workers' coming and going, so it is asked.
        """
        if self._may_ask:
            self.sync(self._refresh)
        return SchedulerInfo(self._latest)

    @scheduler_info.setter
    def scheduler_info(self, value):
        self._latest = dict(value)

    async def _refresh(self):
        try:
            self._latest = await self.scheduler_comm.identity()
        except (OSError, CommClosedError):
            if self.status == Status.created:
                raise  # later on, what it told last stands

    @property
    def workers(self):
        """The workers that are in: name → what the scheduler knows of each."""
        known = self.scheduler_info["workers"]
        return {worker["name"]: WorkerEntry(self, address, worker) for address, worker in known.items()}

    @property
    def worker_spec(self):
        return WorkerSpecs(self.workers)

    def new_worker_spec(self):
        """What another worker would be, as `SpecCluster.new_worker_spec()`."""
        return {len(self.workers): self.new_spec}

    @property
    def new_spec(self):
        return next(iter(self.worker_spec.values()), {"cls": Worker, "options": {}})

    @new_spec.setter
    def new_spec(self, _):
        return

    @property
    def scheduler_spec(self):
        return {"cls": Scheduler, "options": {}}

    @scheduler_spec.setter
    def scheduler_spec(self, _):
        return

    @property
    def n_workers(self):
        planned = notes.planned_workers()
        return len(self.scheduler_info["workers"]) if planned is None else planned

    @property
    def scheduler(self):
        return SchedulerView(self)

    @property
    def plan(self):
        return set(self.workers)

    requested = observed = plan

    @property
    def scheduler_address(self):
        return ADDRESS

    @property
    def adaptive(self):
        return self._adapting

    def _adapt_no_more(self):
        if self._adapting is not None:
            self._adapting.stop()
        self._adapting = None

    def scale(self, n=None, jobs=None, memory=None, cores=None, **_):
        self._adapt_no_more()
        growth.scale(self, n, jobs=jobs, memory=memory, cores=cores)
        return growth.Done(self.asynchronous)

    def adapt(self, *_, **words):
        self._adapt_no_more()
        self._adapting = growth.adapt(self, words)
        return self._adapting

    def scale_up(self, n, *_, **__):
        return self.scale(n)

    def scale_down(self, workers, *_, **__):
        return self.scale(len(self.scheduler_info["workers"]) - len(list(workers)))

    def job_script(self):
        return "# No job is submitted: tsdask-mpi runs this cluster.\n"

    async def _workers_in(self, n_workers, timeout):
        from asyncio import sleep, wait_for

        async def enough():
            while len((await self.scheduler_comm.identity())["workers"]) < n_workers:
                await sleep(0.1)

        from dask.utils import parse_timedelta

        await wait_for(enough(), parse_timedelta(timeout) if timeout else None)

    def wait_for_workers(self, n_workers=1, timeout=None):
        planned = notes.planned_workers()
        if planned is not None and n_workers > max(planned, growth.limit()):
            notes.warn(
                f"wait_for_workers({n_workers}): this launch has {notes.count(planned, 'worker')}, so this waits until more are added"
                f" (`tsdask-mpi scale`){'' if timeout is None else ' or its timeout'}."
            )
        waiting = self._waiting()
        if waiting is None:
            return self.sync(self._workers_in, n_workers, timeout)
        return self.sync(waiting, n_workers, timeout=timeout)


class Handle(Shared):
    """The methods of an adopted cluster object; `adopt` puts them before those of its class."""

    def __await__(self):
        async def ready():
            if self.status == Status.created:
                await self._begin()
            return self

        return ready().__await__()

    async def _begin(self):
        if self.status != Status.created:
            return
        self.scheduler_comm = rpc(ADDRESS, connection_args=self.security.get_connection_args("client"))
        await self._refresh()
        self.status = Status.running
        if self.asynchronous:
            self._refresh_often()
        who, asked = self._asked
        notes.differences(who, asked, self._latest)

    @property
    def _may_ask(self):
        return self.status == Status.running and not self.asynchronous

    async def _end(self):
        await super()._end()
        self.status = Status.closed

    # Those of LocalCluster and others show what only their own __init__ sets.
    __repr__ = Cluster.__repr__
    _repr_html_ = Cluster._repr_html_
    dashboard_link = Cluster.dashboard_link
    name = Cluster.name
    loop = Cluster.loop
    get_logs = Cluster.get_logs
    sync, asynchronous = Cluster.sync, Cluster.asynchronous

    # Runners have no methods of these names.
    def __enter__(self):
        return self.sync(self.__aenter__)

    def __exit__(self, *_):
        self.close()

    async def __aenter__(self):
        return await self

    async def __aexit__(self, *_):
        await self._end()

    # dask-gateway's and coiled's have further words.
    def close(self, timeout=None, **_):
        closing = Cluster.close(self, timeout=timeout)
        if not self.asynchronous:
            self._leave_loop()
        return closing

    shutdown = close

    def __del__(self):
        return


@functools.cache
def _handled(cls):
    """`cls` with the methods of a handle before its own: its objects are still instances of `cls`."""
    return type(
        cls.__name__,
        (Handle, cls),
        {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__},
    )


#: What Cluster.__init__ takes of the words that classes of clusters take.
_COMMON = ("asynchronous", "loop", "name")


def adopt(cluster, asked):
    """
    Makes `cluster`, whose __init__ was called with the words in `asked`, a handle on this launch's cluster, and
    connects it.
    """
    who = type(cluster).__name__
    notes.refuse_after_shutdown(who)
    changes.tell()
    cluster.__class__ = _handled(type(cluster))
    common = {name: asked[name] for name in _COMMON if asked.get(name) is not None}
    Cluster.__init__(cluster, **common)
    cluster._asked = (who, asked)
    cluster._close_at_exit()
    cluster.shutdown_on_close = True
    cluster.security = Security()
    if not cluster.asynchronous:
        cluster._run_loop()
        cluster.sync(cluster._begin)


class LaunchCluster(Shared):
    """
    The `cluster` of a plain Client(): it uses that client's connection and loop, and does nothing until it is asked.
    """

    def __init__(self, client):
        self._client = client
        super().__init__(asynchronous=clients.is_asynchronous(client), loop=client.loop)
        self._be_asynchronous(clients.is_asynchronous(client))
        self.security = client.security
        self.status = Status.running

    @property
    def loop(self):
        return self._client.loop

    @property
    def scheduler_comm(self):
        return self._client.scheduler

    @scheduler_comm.setter
    def scheduler_comm(self, _):
        return

    @property
    def scheduler_info(self):
        # What wait_for_workers and the like have asked for is newer than what the client was told when it connected.
        told = clients.told_identity(self._client)
        if self.asynchronous and self.status == Status.running:
            # Newer Dask tells a client that connects of no worker.
            self.loop.add_callback(self._refresh_often)
        if not self._may_ask and "address" not in self._latest and told:
            return SchedulerInfo(told)
        return super().scheduler_info

    @scheduler_info.setter
    def scheduler_info(self, value):
        self._latest = dict(value)

    @property
    def _may_ask(self):
        return self._client.status == "running" and not self.asynchronous

    async def _refresh(self):
        if self._client.status in ("closing", "closed"):
            self.status = Status.closed
        else:
            await super()._refresh()

    def __await__(self):
        async def ready():
            return self

        return ready().__await__()

    async def _end(self):
        return

    def close(self, timeout=None, **_):
        from distributed.utils import NoOpAwaitable

        return NoOpAwaitable() if self.asynchronous else None

    def __eq__(self, other):
        return isinstance(other, Shared)

    __hash__ = Cluster.__hash__

    def get_client(self):
        return self._client

    def __del__(self):
        return
