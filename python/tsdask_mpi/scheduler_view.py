"""
`cluster.scheduler`: with LocalCluster and dask-jobqueue it is an object of the process; here it is a process of its
own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed import Client

if TYPE_CHECKING:
    from distributed.deploy.cluster import Cluster

_PLAIN = (int, float, str, bool, type(None))
_CURE = "the scheduler is another process: client.run_on_scheduler(lambda dask_scheduler: …) does it there"


class SchedulerView:
    """Its address, its workers, and those of its settings that are numbers or text, such as `allowed_failures`."""

    _cluster: Cluster

    def __init__(self, cluster: Cluster) -> None:
        object.__setattr__(self, "_cluster", cluster)

    @property
    def address(self) -> str:
        """Where it listens."""
        return str(self._cluster.scheduler_address)

    @property
    def workers(self) -> dict[str, Any]:
        """The workers that are in: address to what it knows of each."""
        return dict(self._cluster.scheduler_info["workers"])

    def __getattr__(self, name: str) -> Any:
        """Ask it for a plain setting; AttributeError for anything else."""
        plain, value = (False, None) if name.startswith("_") else self._ask(_get, name)
        if not plain:
            raise AttributeError(f"cluster.scheduler.{name}: {_CURE}")
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Change a plain setting there; AttributeError for anything else."""
        if name in ("address", "workers") or not isinstance(value, _PLAIN) or not self._ask(_set, name, value):
            raise AttributeError(f"cluster.scheduler.{name}: {_CURE}")

    def _ask(self, function: Any, *arguments: Any) -> Any:
        if self._cluster.asynchronous:
            raise AttributeError(f"cluster.scheduler.{arguments[0]}: {_CURE}")
        with Client(self._cluster, set_as_default=False) as client:
            return client.run_on_scheduler(function, *arguments)


def _get(name: str, dask_scheduler: Any = None) -> tuple[bool, Any]:
    value = getattr(dask_scheduler, name, _get)
    return (True, value) if isinstance(value, _PLAIN) else (False, None)


def _set(name: str, value: Any, dask_scheduler: Any = None) -> bool:
    plain, _ = _get(name, dask_scheduler)
    if plain:
        setattr(dask_scheduler, name, value)
    return plain
