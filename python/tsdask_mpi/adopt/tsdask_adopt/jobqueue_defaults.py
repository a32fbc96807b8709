"""
The settings that dask-jobqueue adds to Dask's configuration when it is imported (its jobqueue.yaml), for scripts that
read or change them: `dask.config.get("jobqueue.slurm.walltime")`.
"""

import copy
from typing import Any

import dask.config

_SHELL = "#!/usr/bin/env bash"

#: Of every batch system.
_COMMON: dict[str, Any] = {
    "name": "dask-worker",
    "cores": None,
    "memory": None,
    "processes": None,
    "python": None,
    "interface": None,
    "death-timeout": 60,
    "local-directory": None,
    "shared-temp-directory": None,
    "extra": None,
    "worker-command": "distributed.cli.dask_worker",
    "worker-extra-args": [],
    "env-extra": None,
    "job-script-prologue": [],
    "job-extra": None,
    "job-extra-directives": [],
    "job-directives-skip": [],
    "log-directory": None,
    "scheduler-options": {},
}
_QUEUE = {"shebang": _SHELL, "queue": None, "walltime": "00:30:00"}

#: Of one batch system.
_OWN: dict[str, dict[str, Any]] = {
    "htcondor": {
        "disk": None,
        "job-extra-directives": {},
        "submit-command-extra": [],
        "cancel-command-extra": [],
        "shebang": "#!/usr/bin/env condor_submit",
    },
    "local": {},
    "lsf": {
        **_QUEUE,
        "project": None,
        "walltime": "00:30",
        "ncpus": None,
        "mem": None,
        "lsf-units": None,
        "use-stdin": True,
    },
    "moab": {**_QUEUE, "account": None, "resource-spec": None},
    "oar": {**_QUEUE, "project": None, "resource-spec": None, "memory-per-core-property-name": None},
    "pbs": {**_QUEUE, "account": None, "resource-spec": None},
    "sge": {**_QUEUE, "project": None, "resource-spec": None},
    "slurm": {**_QUEUE, "account": None, "job-cpu": None, "job-mem": None},
}


def settings():
    """Return the settings by batch system."""
    return {system: copy.deepcopy({**_COMMON, **own}) for system, own in _OWN.items()}


def add():
    """Adds them behind what the user's and the site's own files and variables say."""
    dask.config.update_defaults({"jobqueue": settings()})
