"""
Runs one request: as the body of a forked child, or as a program of its own with the control connection on descriptor 3.

A child's end is os._exit: what is left then (threads in a task, half-open connections) must neither delay nor print.
"""

from __future__ import annotations

import os
import sys
import types
from typing import TYPE_CHECKING, NoReturn, cast

if TYPE_CHECKING:
    from tsdask_mpi.channel import Channel, SlotLine
    from tsdask_mpi.child_environment import Baseline
    from tsdask_mpi.contract import ForkRequest
    from tsdask_mpi.wire import Message


def blank_main() -> None:
    """Make `__main__` an empty module, so that what multiprocessing spawns does not run our program again.

    multiprocessing/spawn.py get_preparation_data() takes `__main__.__spec__` and `__main__.__file__` to be run in the
    new process.
    """
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    main.__dict__["__annotations__"] = {}
    sys.modules["__main__"] = main


def lines_at_once() -> None:
    """Open descriptors 1 and 2 anew: a line goes out as it is whole, and no character fails for want of a locale.

    What was opened on them before the fork remembers that it may have been a file or a terminal.
    """
    from tsdask_mpi import logs

    before = sys.stderr
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    logs.move_handlers(before, sys.stderr)


def run(
    request: ForkRequest, channel: Channel, slot: SlotLine, rank: int | None, baseline: Baseline | None
) -> NoReturn:
    """Run one request to its end, and end the process; `rank` is the pid whose cores and limits to take."""
    code = 1
    try:
        code = _run(request, channel, slot, rank, baseline)
    except BaseException as error:
        from tsdask_mpi.failures import failed

        channel.send(failed(error))
    finish(code)


def finish(code: int) -> NoReturn:
    """End this process now, after the functions registered with atexit, without waiting for threads."""
    from tsdask_mpi.compat import interpreter

    try:
        interpreter.run_exit_functions()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _run(request: ForkRequest, channel: Channel, slot: SlotLine, rank: int | None, baseline: Baseline | None) -> int:
    from tsdask_mpi import child_environment, linux, listeners, logs

    kind = request["kind"]
    # No space: Slurm does not count what a process with one in its name uses.
    linux.name_process(f"dask-{kind}")
    sys.argv[:] = [f"dask-{kind}"]
    blank_main()
    lines_at_once()
    child_environment.take(request, rank, baseline)
    logs.set_level((request.get("params") or {}).get("log_level"))
    logs.limit_refused(listeners.refusals.count)
    logs.tell_missing_modules(lambda name: channel.send({"event": "missing-module", "module": name}))
    listeners.install()
    from tsdask_mpi.loop import run_loop

    if request["kind"] == "scheduler":
        from tsdask_mpi.scheduler import run_scheduler

        return run_loop(run_scheduler(request.get("params") or {}, channel, slot))
    from tsdask_mpi.worker import run_worker

    return run_loop(run_worker(request.get("params") or {}, channel, slot))


def not_ours(message: Message) -> str | None:
    """
    Say that a first line is no request, or that of another version of tsdask-mpi, whose messages may mean something
    else.
    """
    from tsdask_mpi.contract import VERSION

    version = message.get("version", VERSION)
    if version != VERSION:
        return f"version {version} of our protocol is asked for, and this part of tsdask-mpi speaks {VERSION}"
    return None if message["op"] == "fork" else "op is not fork"


def probe(request: ForkRequest, channel: Channel) -> None:
    """
    Ask whether this release of Dask has what we rely on, as the fork server does for its children: without what keeps
    strangers out nothing is started.
    """
    import distributed

    from tsdask_mpi.compat import check

    missing = check.check()
    if missing.security:
        message = f"distributed {distributed.__version__} has no {missing.security}"
        channel.send({"event": "failed", "code": "incompatible", "message": message})
        sys.exit(1)
    # Every host has the same release: one of the launch's children says it for all.
    if missing.convenience and request["kind"] == "scheduler":
        channel.send(
            {"event": "lacking", "message": f"distributed {distributed.__version__} has no {missing.convenience}"}
        )


def main() -> None:
    """Run the request that comes on descriptor 3."""
    import socket

    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(here)
    # This package, not one of another version in site-packages; afterwards the user's folders come first again.
    sys.path[:] = [root] + [path for path in sys.path if path not in (here, root)]
    import tsdask_mpi  # noqa: F401

    sys.path[:] = [*sys.path[1:], root]
    from tsdask_mpi import imports, linux, requests
    from tsdask_mpi.channel import Channel, SlotLine
    from tsdask_mpi.wire import Malformed

    linux.leave_group()
    linux.leave_signals_to_rank()
    linux.die_with_parent(os.getppid())
    channel = Channel(socket.socket(fileno=3))
    try:
        message = channel.first()
        if fault := requests.fault_of(message) or not_ours(message):
            raise Malformed(fault)
        request = cast("ForkRequest", message)
    except (Malformed, OSError) as error:
        channel.send({"event": "failed", "code": "malformed", "message": str(error)})
        sys.exit(64)
    variables = imports.limit_math_threads()
    try:
        import distributed  # noqa: F401 - its configuration must be there before the request's
    except Exception as error:
        from tsdask_mpi.diagnosis import explain

        kind, what = explain(error)
        channel.send(
            {"event": "failed", "code": kind, "message": f"{sys.executable} cannot import distributed: {what}"}
        )
        sys.exit(1)
    imports.restore(variables)
    probe(request, channel)
    run(request, channel, SlotLine(None), None, None)


if __name__ == "__main__":
    main()
