"""Where Dask keeps how large the machine is, and its configuration's places.

Relies on:
- dask/system.py CPU_COUNT and distributed/system.py MEMORY_LIMIT are computed at import; CPU_COUNT is copied by
  `from dask.system import CPU_COUNT` into other modules, and into the defaults of distributed/worker_memory.py
  parse_memory_limit.
- dask/config.py `paths` is computed at import, by _get_paths() where there is one (from 2023.2). Seen: 2022.12 to
  2026.8.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tsdask_mpi.compat.names import lacking


def probe() -> str | None:
    """Say what is missing."""
    import dask.config
    import dask.system
    import distributed.system

    return (
        lacking("dask.system", dask.system, "CPU_COUNT")
        or lacking("distributed.system", distributed.system, "MEMORY_LIMIT")
        or lacking("dask.config", dask.config, "paths", "refresh", "collect_env")
    )


def counting_modules() -> tuple[str, ...]:
    """Return the names of those of Dask's modules that hold CPU_COUNT."""
    names = [name for name in sys.modules if name.partition(".")[0] in ("dask", "distributed")]
    return tuple(name for name in names if "CPU_COUNT" in vars(sys.modules[name]))


def set_cpu_count(cpu_count: int, counters: Iterable[str]) -> None:
    """Tell Dask how many cores the machine has; `counters` is what `counting_modules` found."""
    for name in counters:
        sys.modules[name].CPU_COUNT = cpu_count  # type: ignore[attr-defined]
    memory = sys.modules.get("distributed.worker_memory")
    parse = getattr(memory, "parse_memory_limit", None)
    if parse is not None and parse.__defaults__ and len(parse.__defaults__) == 1:
        parse.__defaults__ = (cpu_count,)


def set_memory(limit: int) -> None:
    """Tell Dask how many bytes the machine has."""
    import distributed.system

    distributed.system.MEMORY_LIMIT = limit


def find_configuration_anew() -> None:
    """Read the configuration from the places that the present environment names."""
    import dask.config

    paths = getattr(dask.config, "_get_paths", None)
    dask.config.paths[:] = paths() if paths is not None else dask.config.paths
    dask.config.refresh(paths=dask.config.paths)
