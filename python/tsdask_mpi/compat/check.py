"""Asks each file of this folder that a scheduler or worker uses whether the release at hand has what it relies on.

The others are asked where they are used: in a script's process, or in Jupyter's.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

from tsdask_mpi.compat import (
    accept,
    close_reasons,
    contact_address,
    dashboard_pages,
    derived_settings,
    http_server,
    interpreter,
    last_seen,
    log_messages,
    nanny_methods,
    package_versions,
    performance_report,
    preloading,
    process_memory,
    resource_tracker,
    scheduler_methods,
    shares,
    tls_contexts,
    usage_figures,
)


class Part(NamedTuple):
    """
    A module of this folder, what a launch lacks where its probe fails, and whether the launch is not private then.
    """

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
    Part(last_seen, "workers of a job that was suspended are removed when it goes on"),
    Part(process_memory, "memory that workers share counts in each of them"),
    Part(derived_settings, "time-outs and periods do not follow from the number of workers"),
    Part(shares, "workers count the whole machine's cores and memory"),
    Part(resource_tracker, "shared memory of what is killed may stay"),
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
