"""
`cluster.scheduler` of a handle: what scripts and notebooks read of a LocalCluster's scheduler object, told by the
launch's scheduler, which is another process.

Facts relied on (distributed/scheduler.py):
- `identity` tells of each worker what WorkerState.identity() does; Scheduler.services: name → an object with a `port`.
- The RPC `run_function` takes what distributed/client.py _run_on_scheduler() gives it.
"""

from types import SimpleNamespace
from typing import Any

from distributed.comm import get_address_host_port
from distributed.core import Status, clean_exception
from distributed.protocol.pickle import dumps

_TELLS = "address, aliases, id, identity(), ip, port, services, started, status, total_nthreads, type and workers"


class SchedulerView:
    """The launch's scheduler as a handle's `scheduler` shows it; each attribute is asked for when it is read."""

    def __init__(self, cluster):
        self._cluster = cluster

    def identity(self):
        """What the scheduler tells of itself and its workers: as `Scheduler.identity()`."""
        return dict(self._cluster.scheduler_info)

    @property
    def address(self):
        return self._cluster.scheduler_address

    @property
    def ip(self):
        return get_address_host_port(self.address)[0]

    @property
    def port(self):
        return get_address_host_port(self.address)[1]

    @property
    def id(self):
        return self.identity().get("id")

    @property
    def type(self):
        return self.identity().get("type", "Scheduler")

    @property
    def started(self):
        return self.identity().get("started")

    @property
    def status(self):
        return self._cluster.status

    @property
    def services(self):
        """Name → an object with the service's `port`."""
        return {name: SimpleNamespace(port=port) for name, port in self.identity().get("services", {}).items()}

    @property
    def workers(self):
        """Address → the worker of that address."""
        return {
            address: WorkerView(self._cluster, address, told) for address, told in self.identity()["workers"].items()
        }

    @property
    def aliases(self):
        """Name → address of that worker."""
        return {told["name"]: address for address, told in self.identity()["workers"].items()}

    @property
    def total_nthreads(self):
        return sum(told["nthreads"] for told in self.identity()["workers"].values())

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"`cluster.scheduler` has no {name!r}: this launch's scheduler is a process of its own, and its {_TELLS} are told here. "
            f"client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.{name}) runs in it; client.shutdown() ends it."
        )

    def __repr__(self):
        return f"<Scheduler {self.address!r}, workers: {len(self.identity()['workers'])}>"


class WorkerView:
    """
    A worker as the scheduler knows it: `name`, `nthreads`, `memory_limit` (bytes; 0: none), `status` and what else its
    identity tells.
    """

    def __init__(self, cluster, address, told):
        self.__dict__.update(told)
        self._cluster = cluster
        self.address = address
        self.status = Status.lookup.get(told.get("status"), Status.undefined)

    def identity(self):
        """What the scheduler told of this worker."""
        return self._cluster.scheduler_info["workers"][self.address]

    @property
    def ncores(self):
        return self.nthreads

    @property
    def worker_address(self):
        """A Nanny's, which is what a LocalCluster's workers are."""
        return self.address

    def __getattr__(self, name):
        """Attributes that the scheduler does not tell of itself, such as `pid`, are asked for one by one."""
        if name.startswith("_"):
            raise AttributeError(name)
        if self._cluster._may_ask:
            found, value = self._cluster.sync(_ask, self._cluster, self.address, name)
            if found:
                return value
        raise AttributeError(
            f"a worker of `cluster.scheduler.workers` has no {name!r} here, since the scheduler is another process: "
            f"client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.workers[{self.address!r}].{name}) runs in it, client.run() in the workers."
        )

    def __repr__(self):
        return f"<Worker {self.address!r}, name: {self.name}, status: {self.status.name}>"


class WorkerEntry(dict[str, Any]):
    """A worker in a handle's `workers`: what the scheduler tells of it, by key, and by name as of a Worker or Nanny."""

    def __init__(self, cluster, address, told):
        super().__init__(told)
        self._view = WorkerView(cluster, address, told)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._view, name)


class WorkerSpecs(dict[Any, Any]):
    """A handle's `worker_spec`: name, or number in their order → the worker's class and options, and what it is."""

    def __init__(self, workers):
        from distributed import Worker

        options = ("name", "nthreads", "memory_limit", "resources")
        super().__init__(
            (name, {**told, "cls": Worker, "options": {key: told[key] for key in options if key in told}})
            for name, told in workers.items()
        )

    def __missing__(self, number):
        if isinstance(number, int) and 0 <= number < len(self):
            return list(self.values())[number]
        raise KeyError(number)


async def _ask(cluster, address, name):
    reply = await cluster.scheduler_comm.run_function(
        function=dumps(_plain_attribute), args=dumps((address, name)), kwargs=dumps({}), wait=True
    )
    if reply["status"] == "error":
        _, error, traceback = clean_exception(**reply)
        raise error.with_traceback(traceback)
    return reply["result"]


def _plain_attribute(address, name, dask_scheduler=None):
    """In the scheduler: whether the worker has that attribute as plain data, and the value."""
    value = getattr(dask_scheduler.workers.get(address), name, dask_scheduler)
    plain = value is None or isinstance(value, (bool, int, float, str))
    return plain, value if plain else None


# Only functions of __main__ travel by value: this package is nowhere on the scheduler's path of modules.
_plain_attribute.__module__ = "__main__"
