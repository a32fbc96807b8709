"""
Turns a process into the place its rank asked for: environment, folder, cores, limits, Dask's configuration, randomness.

Facts relied on:
- dask/config.py refresh(): configuration is the defaults (`dask.config.defaults`), then the yaml files of
  `dask.config.paths`, then the variables DASK_…; paths are computed at import from DASK_CONFIG, DASK_ROOT_CONFIG and
  HOME.
- distributed/nanny.py sets distributed.nanny.pre-spawn-environ before a worker starts, and distributed.nanny.environ
  over it as it does; what the environment already holds wins over both (_get_env_variables).
"""

from __future__ import annotations

import copy
import logging
import os
import random
import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from tsdask_mpi import blas, import_cache, linux
from tsdask_mpi.compat import derived_settings, interpreter, shares
from tsdask_mpi.contract import ForkRequest

CONFIG_PLACES = ("DASK_CONFIG", "DASK_ROOT_CONFIG", "HOME", "XDG_CONFIG_HOME")

LIMITS = tuple(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))


class Baseline(NamedTuple):
    """
    Dask's configuration without any variables, the environment it was read in, and the modules that have copied
    CPU_COUNT.
    """

    config: dict[str, Any]
    places: dict[str, str | None]
    variables: dict[str, str]
    counters: tuple[str, ...]


def read_baseline() -> Baseline:
    """Read Dask's defaults and yaml files once, for all children."""
    import dask.config

    config: dict[str, Any] = {}
    dask.config.refresh(config=config, env={})
    for absent in import_cache.absent_features():
        dask.config.set({absent: False}, config=config)
        dask.config.set({absent: False})
    return Baseline(
        config, {name: os.environ.get(name) for name in CONFIG_PLACES}, _dask_variables(), shares.counting_modules()
    )


def take_environment(env: dict[str, str]) -> None:
    """Replace the whole environment, and put what its PYTHONPATH adds to sys.path."""
    before = os.environ.get("PYTHONPATH", "")
    temporary = import_cache.temp_variables()
    if env != os.environ:
        os.environ.clear()
        # In UTF-8, in which the rank has read it, and not in the locale's encoding, which may not have its characters.
        os.environb.update((name.encode(), value.encode()) for name, value in env.items())
    after = os.environ.get("PYTHONPATH", "")
    if after != before:
        added = [path for path in after.split(os.pathsep) if path and path not in sys.path]
        sys.path[:0] = added
    if import_cache.temp_variables() != temporary:
        interpreter.forget_temporary_folder()


def take_limits_of(rank: int) -> None:
    """Take the cores and the resource limits of the rank's process, as far as the system lets us."""
    try:
        cores = os.sched_getaffinity(rank)
        if cores != os.sched_getaffinity(0):
            os.sched_setaffinity(0, cores)
        for limit in LIMITS:
            theirs = linux.limit_of(rank, limit)
            if theirs != resource.getrlimit(limit):
                _take_limit(limit, theirs)
    except OSError as error:
        logging.getLogger("tsdask_mpi").warning("cannot read the cores and limits of process %d: %s", rank, error)


def _take_limit(limit: int, value: tuple[int, int]) -> None:
    try:
        resource.setrlimit(limit, value)
    except (ValueError, OSError):
        soft, _ = value
        own_hard = resource.getrlimit(limit)[1]
        if own_hard != resource.RLIM_INFINITY and (soft == resource.RLIM_INFINITY or soft > own_hard):
            soft = own_hard
        resource.setrlimit(limit, (soft, own_hard))


def take_config(baseline: Baseline | None) -> None:
    """
    Make Dask's configuration that of the present environment; the yaml files are read again only if other ones count
    now.
    """
    import dask.config

    if baseline is None:
        return
    if any(os.environ.get(name) != value for name, value in baseline.places.items()):
        shares.find_configuration_anew()
        return
    if _dask_variables() == baseline.variables:
        return
    dask.config.config.clear()
    dask.config.config.update(copy.deepcopy(baseline.config))
    dask.config.update(dask.config.config, dask.config.collect_env())


def _dask_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("DASK_")}


def take_scratch(folder: str | None) -> None:
    """
    Have Dask keep its local files in `folder`, which goes with the launch, unless the user's configuration names a
    place.
    """
    import dask.config

    if folder and not dask.config.get("temporary-directory", None):
        # Its parent is the host's folder: a child that starts when that is gone must not bring it back.
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        dask.config.set({"temporary-directory": folder})


def nanny_environ() -> None:
    """
    Set what Dask's Nanny would set in a worker's environment, malloc's threshold (which malloc has read already)
    included.
    """
    import dask.config

    for key in ("environ", "pre-spawn-environ"):
        wanted = dask.config.get(f"distributed.nanny.{key}", {}) or {}
        for name, value in wanted.items():
            if value is not None:
                os.environ.setdefault(name, str(value))
    threshold = os.environ.get("MALLOC_TRIM_THRESHOLD_", "")
    if threshold.isdigit():
        linux.trim_threshold(int(threshold))


def reseed() -> None:
    """Give this process a random state of its own."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def take_shares(cpu_count: int | None, memory_limit: int | None, counters: Iterable[str]) -> None:
    """Tell Dask how many cores and bytes this process may take for the whole machine."""
    if cpu_count:
        shares.set_cpu_count(cpu_count, counters)
    if memory_limit:
        shares.set_memory(memory_limit)


def take(request: ForkRequest, rank: int | None, baseline: Baseline | None) -> None:
    """Do all of the above for one request; raises OSError when its folder cannot be entered.

    `distributed` must be imported by now: its configuration comes with it.
    """
    if request.get("env") is not None:
        take_environment(request["env"])
    if rank is not None:
        take_limits_of(rank)
    if request.get("cwd"):
        os.chdir(request["cwd"])
    sys.path[:0] = [path for path in request.get("sys_path") or [] if path not in sys.path]
    take_config(baseline)
    params = request.get("params") or {}
    sys.path.extend(path for path in params.get("later_path") or [] if path not in sys.path)
    derived_settings.take(params.get("derived") or {})
    if params.get("config"):
        import dask.config

        dask.config.set(params["config"])
    take_scratch(params.get("scratch"))
    if request.get("kind") == "worker":
        nanny_environ()
    if "numpy" in sys.modules:
        blas.set_threads()
    reseed()
    explicit = (params.get("kwargs") or {}).get("memory_limit", "auto") not in (None, "auto")
    counters = baseline.counters if baseline else shares.counting_modules()
    take_shares(request.get("cpu_count"), None if explicit else request.get("memory_limit"), counters)
