"""dask-mpi's arguments as `tsdask-mpi`'s options."""

from __future__ import annotations

import json
from typing import Any

PLAIN = ("tcp", "ws")
# Said, it would have to be that port; as the default, another one will do where it is taken.
USUAL_DASHBOARD = ":8787"


class Refused(RuntimeError):
    """An argument that cannot be carried out."""

    def __init__(self, problem: str, cure: str) -> None:
        super().__init__(f"TSD-106 {problem} {cure}")


def options(rank: int, arguments: dict[str, Any]) -> list[str]:
    """Return the words for `tsdask-mpi` that say what `initialize` or `execute` were given."""
    given = {name: value for name, value in arguments.items() if value is not None and value != ""}
    words: list[str] = []
    roles = ("scheduler_port", "scheduler_rank", "client_rank")
    for name in ("interface", "local_directory", "scheduler_file", "protocol", *roles):
        if name in given:
            words += _option(name, given[name])
    words += _option("nthreads", given.get("nthreads", "auto"))
    # dask-mpi's None is "no limit", as it is for Dask's workers.
    words += _option("memory_limit", given.get("memory_limit", 0))
    if given.get("protocol") in PLAIN:
        words += ["--security", "none"]
    if not given.get("dashboard", True):
        words += ["--no-dashboard"]
    elif given.get("dashboard_address", USUAL_DASHBOARD) != USUAL_DASHBOARD:
        words += _option("dashboard_address", given["dashboard_address"])
    if not given.get("exclusive_workers", True):
        words += ["--inclusive-workers"]
    if given.get("nanny"):
        words += ["--nanny"]
    if "worker_class" in given:
        words += _option("worker_class", _class_name(given["worker_class"]))
    named = given.get("worker_name")
    if named is not None:
        words += _option("name", named)
    return [*words, "--worker-options", _worker_options(rank, named, given.get("worker_options") or {})]


def _option(name: str, value: object) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}"]


def _class_name(value: object) -> str:
    return f"{value.__module__}.{value.__qualname__}" if isinstance(value, type) else str(value)


def _worker_options(rank: int, named: object, given: dict[str, Any]) -> str:
    try:
        # A worker without a name of its own is called by its rank's number.
        return json.dumps(given if named is not None else {"name": rank, **given})
    except TypeError as error:
        problem = f"worker_options cannot be given to workers in other processes: {error}."
        raise Refused(problem, "Use plain numbers, strings, lists and dictionaries.") from error
