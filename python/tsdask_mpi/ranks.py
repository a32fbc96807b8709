"""Which rank this process is, from its launcher's variables or from an MPI communicator."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Environment = Mapping[str, str]


@dataclass(frozen=True)
class World:
    """
    Who a rank is: `environment` tells `tsdask-mpi` the same; `replaceable`: another program may take this process over.
    """

    rank: int
    size: int
    environment: dict[str, str]
    descriptors: tuple[int, ...]
    replaceable: bool


def _always(_: Environment) -> bool:
    return True


def _by_hydra(env: Environment) -> bool:
    return any(env.get(name) for name in ("HYDI_CONTROL_FD", "MPI_LOCALRANKID", "HYDRA_CONTROL_FD"))


def _in_slurm_step(env: Environment) -> bool:
    # A batch script has a rank's variables as well, but is in a step of another kind, numbered from 0xfffffff0 up.
    step = env.get("SLURM_STEP_ID", env.get("SLURM_STEPID", ""))
    return step.isdigit() and int(step) < 0xFFFFFFF0


def _by_pals(env: Environment) -> bool:
    # Slurm on Cray EX sets the rank, too, and no size.
    return bool(env.get("PALS_SIZE") or env.get("PMI_SIZE"))


# As in src/launcher/world.ts, the first match wins; a test keeps the two alike.
LAUNCHERS: tuple[tuple[tuple[str, ...], tuple[str, ...], Callable[[Environment], bool]], ...] = (
    (("TSDASK_COMM_RANK",), ("TSDASK_COMM_SIZE",), _always),
    (("TSDASK_RANK",), ("TSDASK_SIZE",), _always),
    (("JSM_NAMESPACE_RANK",), ("JSM_NAMESPACE_SIZE",), _always),
    (("OMPI_COMM_WORLD_RANK",), ("OMPI_COMM_WORLD_SIZE",), _always),
    (("MV2_COMM_WORLD_RANK",), ("MV2_COMM_WORLD_SIZE",), _always),
    (("PALS_RANKID",), ("PALS_SIZE", "PMI_SIZE"), _by_pals),
    (("PMI_RANK", "PMI_ID"), ("PMI_SIZE", "TSDASK_SIZE"), _by_hydra),
    (("FLUX_TASK_RANK",), ("FLUX_JOB_SIZE",), _always),
    (("ALPS_APP_PE",), ("PMI_SIZE", "TSDASK_SIZE"), _always),
    (("SLURM_PROCID",), ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS"), _in_slurm_step),
    (("PMI_RANK",), ("PMI_SIZE",), _always),
    (("PMIX_RANK",), ("TSDASK_SIZE",), _always),
    (("RANK",), ("WORLD_SIZE",), lambda env: bool(env.get("WORLD_SIZE"))),
)


def rank_and_size(env: Environment) -> tuple[int, int] | None:
    """Return the rank and the number of ranks that a launcher's variables tell, or None.

    ValueError when they tell a rank alone, or no numbers.
    """
    for ranks, sizes, holds in LAUNCHERS:
        rank = next((name for name in ranks if env.get(name)), None)
        if rank is None or not holds(env):
            continue
        size = next((name for name in sizes if env.get(name)), None)
        if size is None:
            raise ValueError(f"{rank} is set, but nothing says how many ranks there are ({' or '.join(sizes)})")
        for name in (rank, size):
            if not env[name].isdigit():
                raise ValueError(f"{name} is {env[name]!r}, which is not a number")
        return int(env[rank]), int(env[size])
    return None


def find_world(comm: Any = None) -> World:
    """Return who this process is: in `comm` (mpi4py's), in MPI's world where MPI is in use, or in the launcher's.

    A world of one without any.
    """
    mpi = sys.modules.get("mpi4py.MPI")
    in_use = mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized()
    if comm is None and in_use and mpi is not None:
        comm = mpi.COMM_WORLD
    if comm is not None:
        return World(comm.Get_rank(), comm.Get_size(), {}, (), replaceable=False)
    found = rank_and_size(os.environ)
    if found is None:
        return World(0, 1, _alone(), (), replaceable=True)
    server = os.environ.get("PMI_FD", "")
    return World(*found, {}, (int(server),) if server.isdigit() else (), replaceable=True)


def meet(comm: Any) -> dict[str, str]:
    """Return what tells `tsdask-mpi` its place in a communicator; all its ranks call this together."""
    from mpi4py import MPI

    launch = comm.bcast(secrets.token_hex(8) if comm.Get_rank() == 0 else None, root=0)
    host = comm.Split_type(MPI.COMM_TYPE_SHARED)
    try:
        return {
            "TSDASK_COMM_RANK": str(comm.Get_rank()),
            "TSDASK_COMM_SIZE": str(comm.Get_size()),
            "TSDASK_COMM_LOCAL_RANK": str(host.Get_rank()),
            "TSDASK_COMM_LOCAL_SIZE": str(host.Get_size()),
            "TSDASK_COMM_ID": launch,
        }
    finally:
        host.Free()


def _alone() -> dict[str, str]:
    return {
        "TSDASK_COMM_RANK": "0",
        "TSDASK_COMM_SIZE": "1",
        "TSDASK_COMM_LOCAL_RANK": "0",
        "TSDASK_COMM_LOCAL_SIZE": "1",
        "TSDASK_COMM_ID": secrets.token_hex(8),
    }
