"""Classes of clusters of any package, whose objects become something else when they are made.

Relies on: dask-jobqueue, dask-cuda, dask-kubernetes, dask-gateway and `distributed` itself make a cluster in the
__init__ of a class. dask_kubernetes/operator/kubecluster/kubecluster.py KubeCluster has add_worker_group(),
delete_worker_group() and from_name(). Seen: distributed 2022.12 to 2026.8.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def probe() -> str | None:
    """Say what is missing."""
    from distributed import deploy

    from .names import lacking

    return lacking("distributed.deploy", deploy, "LocalCluster", "SpecCluster")


def replace_init(cls: Any, begin: Callable[..., None]) -> None:
    """Have `begin(original __init__, its signature, object, args, words)` begin each object of a class."""
    original = cls.__init__
    parameters = inspect.signature(original)

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **words: Any) -> None:
        begin(original, parameters, self, args, words)

    cls.__init__ = __init__


def give_methods(cls: Any, **methods: Any) -> None:
    """Put functions into the place of a class's methods."""
    for name, method in methods.items():
        setattr(cls, name, method)
