"""Spares the children file operations that give each of them the same answer.

Relies on:
- distributed/versions.py get_package_info(): old versions import each package anew to ask for its version, new ones
  keep it (`_version_cached`). Seen: 2022.12 to 2026.8.
- psutil/_pslinux.py is_storage_device(name) looks under /sys/block for each device, whenever
  distributed/system_monitor.py samples.
- dask/config.py and distributed/config.py read their defaults with yaml.safe_load, which takes yaml.SafeLoader when it
  is called.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from collections.abc import Callable, Iterable
from typing import Any

from tsdask_mpi.compat.names import lacking


def probe() -> str | None:
    """Say what is missing."""
    from distributed import versions

    return lacking("distributed.versions", versions, "get_versions", "get_package_info")


def read_yaml_quickly() -> Callable[[], None]:
    """Have yaml.safe_load use libyaml, where PyYAML has it; returns what undoes it."""
    try:
        import yaml
    except ImportError:
        return lambda: None
    slow, quick = yaml.SafeLoader, getattr(yaml, "CSafeLoader", None)
    if quick is None:
        return lambda: None
    yaml.SafeLoader = quick

    def undo() -> None:
        yaml.SafeLoader = slow

    return undo


def remember() -> None:
    """Keep the answers about packages and disks for all children; called once, before any fork."""
    import psutil
    from distributed import versions

    if hasattr(versions, "get_package_info") and not hasattr(versions, "_version_cached"):
        versions.get_package_info = _remembered(versions.get_package_info)
    versions.get_versions()
    psutil_linux: Any = getattr(psutil, "_pslinux", None)
    if hasattr(psutil_linux, "is_storage_device"):
        psutil_linux.is_storage_device = functools.lru_cache(maxsize=1024)(psutil_linux.is_storage_device)
        psutil.disk_io_counters()


def _remembered(function: Callable[[Iterable[Any]], dict[str, Any]]) -> Callable[[Iterable[Any]], dict[str, Any]]:
    """Keep what get_package_info found, and spare it the import of packages whose installed version is on record."""
    known: dict[str, dict[str, Any]] = {}

    @functools.wraps(function)
    def remembered(packages: Iterable[Any]) -> dict[str, Any]:
        asked = list(packages)
        key = repr([_name(package) for package in asked])
        if key not in known:
            recorded = {
                name: version
                for package in asked
                if (name := _name(package)) not in sys.modules and (version := _recorded(name))
            }
            known[key] = {**function([package for package in asked if _name(package) not in recorded]), **recorded}
        return dict(known[key])

    return remembered


def _name(package: Any) -> str:
    return str(package[0] if isinstance(package, (tuple, list)) else package)


def _recorded(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
