"""The user's clusters, as `tsdask-mpi list --json` tells of them."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from tsdask_mpi.started import PROGRAM

WAIT_SECONDS = 30.0


def list_clusters() -> list[dict[str, Any]]:
    """Return the user's clusters, those that live first, then the newest; `tsdask_mpi.clusters()` is this function.

    Returns
    -------
    list of dict
        `state` is pending, starting, running, suspended, silent, unknown or ended; `scheduler_file` is what
        `Client(scheduler_file=…)` takes; times are in seconds since 1970.

    Raises
    ------
    RuntimeError
        With what `tsdask-mpi list` said when it fails.
    subprocess.TimeoutExpired
        It did not answer within 30 seconds.

    Examples
    --------
    >>> import tsdask_mpi
    >>> with tsdask_mpi.Cluster(np=2, cluster_name="mine") as cluster:
    ...     [found["state"] for found in tsdask_mpi.clusters() if found["name"] == "mine"]
    ['running']
    """
    ran = subprocess.run(
        [os.fspath(PROGRAM), "list", "--json"], capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    if ran.returncode != 0:
        raise RuntimeError(ran.stderr.strip() or f"tsdask-mpi list ended with {ran.returncode}")
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found
