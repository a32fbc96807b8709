"""Spares the children file operations that give each of them the same answer.

Facts relied on:
- tempfile.gettempdir() tries a folder by writing to it, and keeps its answer in tempfile.tempdir.
- getaddrinfo(3) reads gai.conf, nsswitch.conf and its libraries once.
- platform.uname().processor runs `uname -p`, and the answer is kept.
- distributed/versions.py get_package_info(): old versions import each package anew to ask for its version, new ones keep it.
- distributed/system_monitor.py looks for the module gilknocker whenever a server starts, if its configuration says so.
- psutil/_pslinux.py is_storage_device(name) looks under /sys/block for each device, whenever distributed/system_monitor.py samples.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import platform
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

TEMP_VARIABLES = ("TMPDIR", "TEMP", "TMP")


def read_yaml_quickly() -> Callable[[], None]:
    """Have yaml.safe_load use libyaml, where PyYAML has it; returns what undoes it.

    dask/config.py and distributed/config.py read their defaults with yaml.safe_load, which takes PyYAML's loader in Python.
    """
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


def ask_once() -> None:
    """Ask for all that later is known; called once, before any fork."""
    import psutil
    from distributed import versions

    tempfile.gettempdir()
    socket.getaddrinfo("localhost", 0)
    str(platform.uname().processor)
    if not hasattr(versions, "_version_cached"):
        versions.get_package_info = _remember(versions.get_package_info)
    versions.get_versions()
    psutil_linux: Any = getattr(psutil, "_pslinux", None)
    if hasattr(psutil_linux, "is_storage_device"):
        psutil_linux.is_storage_device = functools.lru_cache(maxsize=1024)(psutil_linux.is_storage_device)
        psutil.disk_io_counters()


def absent_features() -> list[str]:
    """Return the configuration keys of what Dask would look for in vain: modules that are not installed."""
    return [] if importlib.util.find_spec("gilknocker") else ["distributed.admin.system-monitor.gil.enabled"]


def temp_variables() -> list[str | None]:
    """Return the variables that decide where temporary files go."""
    return [os.environ.get(name) for name in TEMP_VARIABLES]


def forget_temporary_folder() -> None:
    """Have Python look for the folder for temporary files again."""
    tempfile.tempdir = None


def _remember(function: Callable[[Iterable[Any]], dict[str, Any]]) -> Callable[[Iterable[Any]], dict[str, Any]]:
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
