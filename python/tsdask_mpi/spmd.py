"""`initialize()` and `execute()` for scripts of which every rank runs its own copy: `mpirun -np 8 python script.py`.

Arguments and behaviour are dask-mpi's (https://mpi.dask.org/en/latest/api.html); the scheduler, the workers and their
end are `tsdask-mpi`'s.
"""

from __future__ import annotations

import atexit
import builtins
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tsdask_mpi import arguments, ranks, started
from tsdask_mpi.compat import clients
from tsdask_mpi.ranks import World

# What src/rank/orphans.ts puts into the environment of a script that `tsdask-mpi` has started.
SCRIPT_MARK = "TSDASK_SCRIPT_MARK"


class WorldTooSmallException(RuntimeError):
    """There are fewer ranks than the cluster needs."""


_cluster: started.Cluster | None = None
_served = False


def initialize(
    interface: str | None = None,
    nthreads: int | None = 1,
    local_directory: str | None = None,
    memory_limit: int | float | str | None = "auto",
    nanny: bool = False,
    dashboard: bool = True,
    dashboard_address: str = ":8787",
    protocol: str | None = None,
    worker_class: str | type = "distributed.Worker",
    worker_options: dict[str, Any] | None = None,
    comm: Any = None,
    exit: bool = True,
) -> bool:
    """Turn the ranks into a cluster, and go on with the script in rank 1 alone, where a plain `Client()` is connected.

    Under `tsdask-mpi` the cluster is there already: True at once.

    Parameters
    ----------
    interface : str, optional
        The network interface that Dask listens on, such as "ib0".
    nthreads : int, optional
        Threads of a worker.
    local_directory : str, optional
        Where workers keep what does not fit into memory.
    memory_limit : int, float, str or None
        Of a worker: in bytes, as a fraction of the host's, or as text; None for no limit.
    nanny : bool
        Whether each worker has a Nanny. Without, its rank starts it again when it dies.
    dashboard, dashboard_address
        Whether the scheduler has a dashboard, and where it listens.
    protocol : str, optional
        "tcp" for an open cluster; TLS by default.
    worker_class : str or type
        The class of the workers, or its name.
    worker_options : dict, optional
        What that class is given besides; plain values.
    comm : mpi4py.MPI.Comm, optional
        The communicator whose ranks take part.
    exit : bool
        Whether the other ranks leave with the script's end. With False they return once the client has called
        `send_close_signal`.

    Returns
    -------
    bool
        True on the client's rank, False on another one that returns.

    Raises
    ------
    WorldTooSmallException
        There are less than three ranks.
    RuntimeError
        An argument cannot be carried out; the message says why, and what to use.
    SystemExit
        The cluster did not come up.

    Examples
    --------
    In a script that `mpirun -np 4 python script.py` starts:

    >>> from tsdask_mpi import initialize
    >>> initialize()
    True
    >>> from dask.distributed import Client
    >>> with Client() as client:
    ...     client.submit(sum, range(10)).result()
    45
    """
    given = {name: value for name, value in locals().items() if name not in ("comm", "exit")}
    if has_cluster():
        return True
    world = _find_world(comm, 3, "needs at least 3, one each for the scheduler, client and a worker")
    if world.rank != 1:
        _be_rank(world, arguments.options(world.rank, given), leave=exit)
        return False
    _be_client(world, arguments.options(world.rank, given))
    _finish_at_exit()
    return True


def execute(
    client_function: Callable[..., object] | None = None,
    client_args: Sequence[Any] = (),
    client_kwargs: Mapping[str, Any] | None = None,
    client_rank: int = 1,
    scheduler: bool = True,
    scheduler_rank: int = 0,
    scheduler_address: str | None = None,
    scheduler_port: int | None = None,
    scheduler_file: str | None = None,
    interface: str | None = None,
    nthreads: int | None = 1,
    local_directory: str = "",
    memory_limit: int | float | str | None = "auto",
    nanny: bool = False,
    dashboard: bool = True,
    dashboard_address: str = ":8787",
    protocol: str | None = None,
    exclusive_workers: bool = True,
    worker_class: str | type = "distributed.Worker",
    worker_options: dict[str, Any] | None = None,
    worker_name: str | None = None,
    comm: Any = None,
) -> None:
    """Run `client_function(*client_args, **client_kwargs)` in rank `client_rank`; all ranks return when it is over.

    Under `tsdask-mpi` the cluster is there already, and the function is called at once.

    Parameters
    ----------
    client_function : callable, optional
        What runs on the cluster. Without it the cluster serves until it is closed.
    client_args, client_kwargs
        Its arguments.
    client_rank, scheduler_rank : int
        Where it and the scheduler run.
    scheduler, scheduler_address
        `scheduler=False`: all ranks are workers of the cluster at this address.
    scheduler_port, scheduler_file
        Where the scheduler listens, and where to write how to reach it.
    interface, nthreads, local_directory, memory_limit, nanny, dashboard, dashboard_address, protocol
        As for `initialize`.
    exclusive_workers : bool
        Whether the ranks of scheduler and function have no worker beside.
    worker_class, worker_options, worker_name
        Of the workers: their class or its name, what it is given besides, and what their names begin with.
    comm : mpi4py.MPI.Comm, optional
        The communicator whose ranks take part.

    Raises
    ------
    WorldTooSmallException
        There are fewer ranks than these roles need.
    ValueError
        `scheduler=False` without an address.
    RuntimeError, SystemExit
        As `initialize` does. An error of the function ends the cluster, and is raised in its rank.

    Examples
    --------
    >>> from dask.distributed import Client
    >>> from tsdask_mpi import execute
    >>> def work(text):
    ...     with Client() as client:
    ...         print(client.submit(str.upper, text).result())
    >>> execute(work, ["done"])
    DONE
    """
    beside = ("client_function", "client_args", "client_kwargs", "scheduler", "scheduler_address", "comm")
    given = {name: value for name, value in locals().items() if name not in beside}
    run_client = (
        functools.partial(client_function, *client_args, **(client_kwargs or {})) if callable(client_function) else None
    )
    with_client = run_client is not None
    if has_cluster():
        if run_client is not None:
            run_client()
        return
    if not scheduler:
        _without_scheduler(scheduler_address, with_client)
        given.update(scheduler_port=None, scheduler_rank=None)
    least = 1 + max(client_rank, scheduler_rank, int(exclusive_workers)) if scheduler else 1
    roles = f"exclusive_workers={exclusive_workers}, client_rank={client_rank} and scheduler_rank={scheduler_rank}"
    world = _find_world(comm, least, f"needs {least} with {roles}")
    if not with_client:
        given["client_rank"] = None
    words = arguments.options(world.rank, given)
    if not scheduler and scheduler_address is not None:
        words.append(scheduler_address)
    if run_client is None or world.rank != client_rank:
        _be_rank(world, words, leave=False, client=with_client)
        return
    _be_client(world, words)
    code = 1
    try:
        run_client()
        code = 0
    except SystemExit as error:
        code = _code([error.code])
        raise
    finally:
        _close_clients()
        _finish(code)


def send_close_signal() -> None:
    """End the cluster of `initialize(exit=False)`, and wait for its end; under `tsdask-mpi` it ends with the script.

    Examples
    --------
    >>> from tsdask_mpi import send_close_signal
    >>> send_close_signal()
    """
    _finish(0)


def _without_scheduler(address: str | None, with_client: bool) -> None:
    if address is None:
        raise ValueError("scheduler=False needs the scheduler_address of the cluster to join")
    if with_client:
        problem = "With scheduler=False all ranks join a running cluster as workers: none runs client_function."
        raise arguments.Refused(
            problem, "Leave it out, and run the function as a client of its own, with Client(scheduler_address)."
        )


def has_cluster() -> bool:
    """Say whether this process is a script of a cluster that is there already."""
    return started.MARK in os.environ or SCRIPT_MARK in os.environ


def _find_world(comm: Any, least: int, needs: str) -> World:
    try:
        world = ranks.find_world(comm)
    except ValueError as error:
        problem = f"The launcher's variables do not tell the rank: {error}."
        raise arguments.Refused(problem, "Start one launcher only, or set TSDASK_RANK and TSDASK_SIZE.") from error
    if world.size < least:
        hint = " Was it started with a launcher (`mpirun -np 4 python script.py`)?" if world.size == 1 else ""
        found = f"TSD-105 Not enough ranks to start the cluster: found {world.size}"
        raise WorldTooSmallException(f"{found}, {needs}.{hint}")
    if not started.PROGRAM.exists():
        cure = "Set PYTHONPATH to the folder `python` of a whole installation of tsdask-mpi."
        raise arguments.Refused(f"There is no {started.PROGRAM}.", cure)
    global _served
    if world.replaceable and _served:
        cure = "Ask for one cluster per launch, or pass `comm=`, for which each has a name of its own."
        raise arguments.Refused("These ranks have had a cluster already.", cure)
    _served = True
    if world.replaceable:
        return world
    return World(world.rank, world.size, ranks.meet(comm if comm is not None else _comm_world()), (), replaceable=False)


def _comm_world() -> Any:
    from mpi4py import MPI

    return MPI.COMM_WORLD


def _be_rank(world: World, options: list[str], leave: bool, client: bool = True) -> None:
    """
    Be the scheduler's or a worker's rank: for good where the launcher allows it and the script does not go on here.
    """
    words = started.command(options, client=client)
    if leave and world.replaceable:
        started.become(world, words)
    code = started.serve(world, words)
    if leave or code != 0:
        sys.exit(code if code >= 0 else 128 - code)


def _be_client(world: World, options: list[str]) -> None:
    """Be the client's rank: with the cluster's settings in this process and in what it starts."""
    global _cluster
    _cluster = started.start_client(world, started.command(options, client=True))
    settings = _cluster.settings
    os.environ.update(settings)
    os.environ[started.MARK] = "1"
    if "dask.config" in sys.modules:
        import dask.config

        # Beside what the script has set itself.
        dask.config.update(dask.config.config, dask.config.collect_env(settings), priority="new")


def _finish(code: int) -> None:
    global _cluster
    if _cluster is None:
        return
    cluster, _cluster = _cluster, None
    os.environ.pop(started.MARK, None)
    cluster.finish(code)


def _finish_at_exit() -> None:
    """
    End the cluster when the interpreter ends. The process's exit code is its own; the launch is told it, to say it.
    """
    codes: list[str | int | None] = []

    def noting(leave: Callable[..., Any]) -> Callable[..., Any]:
        def noted(code: str | int | None = None) -> None:
            codes.append(code)
            leave(code)

        return noted

    # `exit` and `quit` are there unless Python was started without its `site`.
    ways = ((sys, "exit"), (builtins, "exit"), (builtins, "quit"))
    before = [(module, name, getattr(module, name)) for module, name in ways if hasattr(module, name)]
    for module, name, leave in before:
        setattr(module, name, noting(leave))

    def end() -> None:
        for module, name, leave in before:
            setattr(module, name, leave)
        if _cluster is not None and not _cluster.is_own():
            return
        _close_clients()
        _finish(_code(codes))

    atexit.register(end)


def _code(codes: Sequence[object]) -> int:
    if sys.__dict__.get("last_value") is not None:
        return 130 if isinstance(sys.last_value, KeyboardInterrupt) else 1
    status = codes[-1] if codes else None
    return 0 if status is None else status & 0xFF if isinstance(status, int) else 1


def _close_clients() -> None:
    """Close the clients that the script left open, before their scheduler ends: Dask would log what it lost."""
    clients.close_left_open()
