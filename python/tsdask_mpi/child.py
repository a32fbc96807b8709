"""Runs one request: as the body of a forked child, or as a program of its own with the control connection on descriptor 3.

A child's end is os._exit: what is left then (threads in a task, half-open connections) must neither delay nor print.
"""

from __future__ import annotations

import os
import sys
import types
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tsdask_mpi.channel import Channel, Turn
    from tsdask_mpi.child_environment import Baseline
    from tsdask_mpi.wire import Message


def blank_main() -> None:
    """Make `__main__` an empty module, so that what multiprocessing spawns does not run our program again.

    multiprocessing/spawn.py get_preparation_data() takes `__main__.__spec__` and `__main__.__file__` to be run in the new process.
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


def run(request: Message, channel: Channel, turn: Turn, rank: int | None, baseline: Baseline | None) -> NoReturn:
    """Run one request to its end, and end the process; `rank` is the pid whose cores and limits to take."""
    code = 1
    try:
        code = _run(request, channel, turn, rank, baseline)
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


def _run(request: Message, channel: Channel, turn: Turn, rank: int | None, baseline: Baseline | None) -> int:
    from tsdask_mpi import child_environment, linux, listeners, logs

    kind = request.get("kind")
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
    if kind == "scheduler":
        from tsdask_mpi.scheduler import run_scheduler as body
    elif kind == "worker":
        from tsdask_mpi.worker import run_worker as body
    else:
        channel.send({"event": "failed", "code": "malformed", "message": f"no such kind: {kind!r}"})
        return 64
    from tsdask_mpi.loop import run_loop

    return run_loop(body(request.get("params") or {}, channel, turn))


def main() -> None:
    """Run the request that comes on descriptor 3."""
    import socket

    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(here)
    # This package, not one of another version in site-packages; afterwards the user's folders come first again.
    sys.path[:] = [root] + [path for path in sys.path if path not in (here, root)]
    import tsdask_mpi  # noqa: F401

    sys.path[:] = [*sys.path[1:], root]
    from tsdask_mpi import imports, linux
    from tsdask_mpi.channel import Channel, Turn
    from tsdask_mpi.wire import Malformed

    linux.leave_group()
    linux.leave_signals_to_rank()
    linux.die_with_parent(os.getppid())
    channel = Channel(socket.socket(fileno=3))
    try:
        request = channel.first()
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
    run(request, channel, Turn(None), None, None)


if __name__ == "__main__":
    main()
