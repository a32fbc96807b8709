"""Which class a worker is, and which arguments it takes.

Facts relied on:
- distributed/nanny.py: Nanny hands its **worker_kwargs to the worker's class, `worker_class`, which is a class and not
  its name; its own port is `port`, the worker's is `worker_port`.
- distributed/worker.py: Worker hands its **kwargs to ServerNode, that is to Server (distributed/core.py).
"""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any


def import_class(name: str) -> type:
    """Return the class that a dotted name leads to; raises ImportError."""
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ImportError(f"{name!r} is not a dotted name of a class, as distributed.Worker is")
    found = getattr(importlib.import_module(module), attribute, None)
    if not isinstance(found, type):
        raise ImportError(f"module {module} has no class {attribute}")
    return found


@functools.cache
def named_arguments(cls: type) -> frozenset[str]:
    """Return the names that a class, and the classes it hands its **kwargs to, give to their arguments."""
    names: set[str] = set()
    for base in cls.__mro__:
        init = base.__dict__.get("__init__")
        if base is object or init is None:
            continue
        parameters = list(inspect.signature(init).parameters.values())[1:]
        names.update(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return frozenset(names)


def runs_workers_elsewhere(cls: type) -> bool:
    """Tell whether a class starts its worker in a process of its own, as a Nanny does."""
    from distributed import Worker

    return not issubclass(cls, Worker)


def with_inner_class(cls: type, kwargs: dict[str, Any]) -> dict[str, Any]:
    """
    Return the user's arguments with the class in place of the dotted name that a Nanny's `worker_class` is on a command
    line; raises ImportError.
    """
    from distributed import Nanny

    inner = kwargs.get("worker_class")
    if not isinstance(inner, str) or not issubclass(cls, Nanny):
        return kwargs
    return {**kwargs, "worker_class": import_class(inner)}


def arguments_for(cls: type, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return those arguments that the class takes, under the names that it gives them."""
    from distributed import Nanny, Worker

    names = named_arguments(cls)
    if issubclass(cls, Nanny):
        names = names | named_arguments(Worker)
        if "port" in kwargs:
            kwargs = {**kwargs, "worker_port": kwargs["port"]}
            del kwargs["port"]
    return {name: value for name, value in kwargs.items() if name in names}


def call_with(function: Any, kwargs: dict[str, Any]) -> Any:
    """Call a function with those arguments that it names."""
    parameters = inspect.signature(function).parameters
    return function(**{name: value for name, value in kwargs.items() if name in parameters})
