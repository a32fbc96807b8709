"""Spares the children file operations that give each of them the same answer.

Facts relied on:
- tempfile.gettempdir() tries a folder by writing to it, and keeps its answer in tempfile.tempdir.
- getaddrinfo(3) reads gai.conf, nsswitch.conf and its libraries once.
- platform.uname().processor runs `uname -p`, and the answer is kept.
- distributed/system_monitor.py looks for the module gilknocker whenever a server starts, if its configuration says so.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
import tempfile

from tsdask_mpi.compat import package_versions

TEMP_VARIABLES = ("TMPDIR", "TEMP", "TMP")


def ask_once() -> None:
    """Ask for all that later is known; called once, before any fork."""
    tempfile.gettempdir()
    socket.getaddrinfo("localhost", 0)
    str(platform.uname().processor)
    package_versions.remember()


def absent_features() -> list[str]:
    """Return the configuration keys of what Dask would look for in vain: modules that are not installed."""
    return [] if importlib.util.find_spec("gilknocker") else ["distributed.admin.system-monitor.gil.enabled"]


def temp_variables() -> list[str | None]:
    """Return the variables that decide where temporary files go."""
    return [os.environ.get(name) for name in TEMP_VARIABLES]
