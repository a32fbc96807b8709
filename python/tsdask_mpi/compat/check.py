"""Asks each file of this folder that a scheduler or worker uses whether the release at hand has what it relies on.

The others are asked where they are used: in a script's process, or in Jupyter's.
"""

from __future__ import annotations

import logging
from types import ModuleType
from typing import NamedTuple

from tsdask_mpi.compat import (
    accept,
    close_reasons,
    contact_address,
    dashboard_pages,
    http_server,
    interpreter,
    log_messages,
    nanny_methods,
    package_versions,
    performance_report,
    preloading,
    process_memory,
    scheduler_methods,
    shares,
    tls_contexts,
    usage_figures,
)

#: The releases of `distributed` that the tests are run against, the oldest and the newest.
OLDEST_TESTED = (2022, 12)
NEWEST_TESTED = (2026, 8)

logger = logging.getLogger("tsdask_mpi")


class Part(NamedTuple):
    """A module of this folder, what a launch lacks where its probe fails, and whether the launch is not private then."""

    module: ModuleType
    lost: str
    security: bool = False


PARTS = (
    Part(http_server, "pages would be open to everybody", security=True),
    Part(accept, "idle connections of strangers are not limited"),
    Part(tls_contexts, "each connection reads the certificates again"),
    Part(contact_address, "addresses are told as numbers, not by --host's name"),
    Part(dashboard_pages, "the dashboard is not added to the scheduler"),
    Part(log_messages, "Dask's log is not quiet about what is told elsewhere"),
    Part(nanny_methods, "Client.restart and restart_workers do not reach the workers"),
    Part(package_versions, "each worker asks for package versions and disks itself"),
    Part(performance_report, "--report leaves Dask's performance report out"),
    Part(preloading, "a preload that fails does not end the start"),
    Part(scheduler_methods, "why the scheduler closes is not told, and no worker is found by its rank's number"),
    Part(usage_figures, "clients of tasks are counted with the script's"),
    Part(process_memory, "memory that workers share counts in each of them"),
    Part(shares, "workers count the whole machine's cores and memory"),
    Part(interpreter, "the fork server cannot begin again without a module of --warm"),
    Part(close_reasons, "a worker that closes is taken for one that ended by itself"),
)


class Missing(NamedTuple):
    """What this release lacks, of all parts together; an empty text where it lacks nothing."""

    security: str
    convenience: str


def check(parts: tuple[Part, ...] = PARTS) -> Missing:
    """Ask every part whether what it relies on is there; a probe that fails in another way counts as missing, too."""
    found: dict[bool, list[str]] = {True: [], False: []}
    for part in parts:
        try:
            lacks = part.module.probe()
        except Exception as error:
            lacks = f"{type(error).__name__}: {error}"
        if lacks:
            found[part.security].append(f"{lacks} ({part.lost})")
    return Missing("; ".join(found[True]), "; ".join(found[False]))


def release_of(version: str) -> tuple[int, ...]:
    """Return the year and month of a release of Dask, (0, 0) for a text that has none."""
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else (0, 0)


def say_untested(version: str) -> None:
    """Note in the log that this release of distributed is newer than what was tested."""
    if release_of(version) > NEWEST_TESTED:
        newest = ".".join(str(part) for part in NEWEST_TESTED)
        logger.info("distributed %s is newer than %s, the newest that tsdask-mpi was tested with", version, newest)
