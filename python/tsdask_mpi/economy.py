"""Spares the children file operations that give each of them the same answer.

Facts relied on:
- tempfile.gettempdir() tries a folder by writing to it, and keeps its answer in tempfile.tempdir.
- getaddrinfo(3) reads gai.conf, nsswitch.conf and its libraries once.
- platform.uname().processor runs `uname -p`, and the answer is kept.
- distributed/versions.py get_package_info(): old versions import each package anew to ask for its version, new ones keep it.
- psutil/_pslinux.py is_storage_device(name) looks under /sys/block for each device, whenever distributed/system_monitor.py samples.
"""

from __future__ import annotations

import functools
import os
import platform
import socket
import tempfile
from typing import Any, Callable, Iterable

TEMP_VARIABLES = ("TMPDIR", "TEMP", "TMP")


def ask_once() -> None:
    """Ask for all that later is known; called once, before any fork."""
    from distributed import versions

    tempfile.gettempdir()
    socket.getaddrinfo("localhost", 0)
    str(platform.uname().processor)
    versions.get_versions()
    if not hasattr(versions, "_version_cached"):
        versions.get_package_info = _remember(versions.get_package_info)
    psutil_linux = getattr(__import__("psutil"), "_pslinux", None)
    if hasattr(psutil_linux, "is_storage_device"):
        psutil_linux.is_storage_device = functools.lru_cache(maxsize=1024)(psutil_linux.is_storage_device)
        __import__("psutil").disk_io_counters()


def temp_variables() -> list[str | None]:
    """Return the variables that decide where temporary files go."""
    return [os.environ.get(name) for name in TEMP_VARIABLES]


def forget_temporary_folder() -> None:
    """Have Python look for the folder for temporary files again."""
    tempfile.tempdir = None


def _remember(function: Callable[[Iterable[Any]], dict[str, Any]]) -> Callable[[Iterable[Any]], dict[str, Any]]:
    known: dict[str, dict[str, Any]] = {}

    @functools.wraps(function)
    def remembered(packages: Iterable[Any]) -> dict[str, Any]:
        asked = list(packages)
        key = repr([name[0] if isinstance(name, (tuple, list)) else name for name in asked])
        if key not in known:
            known[key] = function(asked)
        return dict(known[key])

    return remembered
