"""The fork server's life: configuration, socket, imports, service."""

from __future__ import annotations

import errno
import gc
import json
import os
import socket
import sys
import time
from contextlib import suppress
from typing import NoReturn, cast

from tsdask_mpi import diagnosis, imports, linux
from tsdask_mpi.compat import interpreter
from tsdask_mpi.contract import (
    REQUEST_SECONDS,
    VERSION,
    ForkRequest,
    ServerCommand,
    ServerCommandStart,
    ServerFailure,
)
from tsdask_mpi.server import Server, leave_stdout, remove_host_folder, take_leader, tell_leader
from tsdask_mpi.watchdog import CleanupRegistry
from tsdask_mpi.wire import Malformed, Message, decode

BACKLOG = 4096
RESUME = "TSDASK_RESUME"


def serve() -> NoReturn:
    """
    Read the configuration from stdin, bind, import, and serve until the leader is gone; exits with 1 when Dask cannot
    be imported.
    """
    state, listener = _resume() if RESUME in os.environ else _begin()
    if not state["imports"]:
        _only_watch(state, listener)
    variables = imports.limit_math_threads()
    gc.disable()
    try:
        imports.import_engine()
        imports.restore_openmp(variables)
        refused = imports.warm(list(state["warm"]))
    except imports.ImportFailure as failure:
        _fail(state, listener, failure.reason, str(failure))
    finally:
        imports.restore(variables)
    for module, reason, message in refused:
        tell_leader({"event": "failed", "reason": reason, "module": module, "message": message})
    if any(reason == "threads" for _, reason, _ in refused):
        state["warm"] = [name for name in state["warm"] if name not in [module for module, _, _ in refused]]
        _exec_again(state, listener)
    _serve(state, listener)


def _serve(state: Message, listener: socket.socket) -> NoReturn:
    import distributed

    from tsdask_mpi import child, child_environment, classes, listeners, loop, scheduler, secure, worker  # noqa: F401 - for the children
    from tsdask_mpi.compat import check

    missing = check.check()
    if missing.security:
        _fail(state, listener, "incompatible", f"distributed {distributed.__version__} has no {missing.security}")
    if missing.convenience:
        message = f"distributed {distributed.__version__} has no {missing.convenience}"
        tell_leader({"event": "failed", "reason": "lacking", "message": message})
    linux.adopt_orphans()
    linux.allow_many_files()
    classes.named_arguments(distributed.Worker)

    def prepare(request: ForkRequest) -> None:
        secure.prepare((request.get("params") or {}).get("security"))

    server = Server(
        listener,
        state["host_dir"],
        commands=state["commands"].encode(),
        request_seconds=state["request_seconds"],
        prepare=prepare,
        baseline=child_environment.read_baseline(),
    )
    # Each child would print once more what is still in the buffer.
    sys.stdout.flush()
    imports.freeze()
    gc.enable()
    _say_ready(state, imports.versions())
    server.run()


def _only_watch(state: Message, listener: socket.socket) -> NoReturn:
    """Serve without Dask (`--spawn exec`): watch over scripts, and clean up after a leader that was killed.

    What this release of Dask lacks is asked by each child, which imports it (child.py).
    """
    linux.adopt_orphans()
    linux.allow_many_files()
    server = Server(
        listener,
        state["host_dir"],
        commands=state["commands"].encode(),
        request_seconds=state["request_seconds"],
        prepare=lambda _: None,
        baseline=None,
        engine=False,
    )
    try:
        versions = imports.installed_versions()
    except imports.ImportFailure as failure:
        _fail(state, listener, failure.reason, str(failure))
    _say_ready(state, versions)
    server.run()


def _fail(state: Message, listener: socket.socket, reason: ServerFailure, message: str) -> NoReturn:
    """Tell the leader why there is no fork server on this host, and end."""
    tell_leader({"event": "failed", "reason": reason, "executable": sys.executable, "message": message})
    # Who asks for a child is refused at once.
    listener.close()
    _outlive_leader(state)
    sys.exit(1)


def _outlive_leader(state: Message) -> None:
    """Wait until the leader is gone or says that this is the end, and remove what one that was killed has left."""
    left = CleanupRegistry()
    commands = state["commands"].encode()
    ended = False
    while not ended:
        data = os.read(0, 65536)
        *lines, commands = (commands + data).split(b"\n")
        ended = not data
        for line in lines:
            with suppress(Malformed, ValueError, AttributeError, KeyError):
                command = cast("ServerCommand", decode(line))
                if command["op"] in ("own", "disown"):
                    left.add(command)
                ended = ended or command["op"] == "end"
    left.remove()
    remove_host_folder(state["host_dir"])


def _say_ready(state: Message, versions: Message) -> None:
    tell_leader(
        {
            "event": "ready",
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "executable": sys.executable,
            "seconds": round(time.time() - state["started"], 3),
            "threads": linux.thread_count(),
            "hidden": diagnosis.hidden_beside(state["script_folder"]) if state.get("script_folder") else [],
            "missing": _missing(state.get("modules") or []),
            "dask": versions["dask"],
            "distributed": versions["distributed"],
            "packages": versions["packages"],
            "newest_tested": imports.newest_tested(versions["distributed"]),
        }
    )


def _missing(names: list[str]) -> list[str]:
    """Return those of the modules that this Python does not have."""
    from importlib.util import find_spec

    def there(name: str) -> bool:
        try:
            return find_spec(name) is not None
        except ModuleNotFoundError:  # the package that it is in is not there either
            return False

    return [name for name in names if not there(name)]


def _begin() -> tuple[Message, socket.socket]:
    started = time.time()
    line, rest = _first_line()
    leader = leave_stdout()
    config = cast("ServerCommandStart", decode(line))
    try:
        listener = _bind(config["socket"])
        for pipe in config.get("pipes") or []:
            # An agent that fails meanwhile makes them itself, to send the shells away.
            with suppress(FileExistsError):
                os.mkfifo(pipe, 0o600)
    except FileNotFoundError:
        # A leader that has ended meanwhile took the folder with it; one that was killed as it did has left the user's
        # own above it.
        remove_host_folder(config["host_dir"])
        raise
    except OSError as error:
        if error.errno not in diagnosis.NO_PLACE:
            raise
        why = f"{error.strerror} ({errno.errorcode[error.errno]})"
        tell_leader({"event": "failed", "reason": "folder", "executable": sys.executable, "message": why})
        sys.exit(1)
    tell_leader({"event": "listening", "version": VERSION})
    seconds = float(config.get("request_seconds") or REQUEST_SECONDS)
    state = {
        "host_dir": config["host_dir"],
        "warm": list(config.get("warm") or []),
        "script_folder": config.get("script_folder"),
        "modules": config.get("modules"),
        "imports": config.get("imports") is not False,
        "request_seconds": seconds,
        "started": started,
        "leader": leader,
        "commands": rest.decode(),
    }
    return state, listener


def _exec_again(state: Message, listener: socket.socket) -> NoReturn:
    """Become a new Python, without the threads, with the same pid, pipes and socket."""
    state["listener"] = listener.detach()
    for kept in (state["listener"], state["leader"]):
        os.set_inheritable(kept, True)
    os.environ[RESUME] = json.dumps(state)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *interpreter.own_flags(), sys.argv[0]])


def _resume() -> tuple[Message, socket.socket]:
    state = json.loads(os.environ.pop(RESUME))
    for kept in (state["listener"], state["leader"]):
        os.set_inheritable(kept, False)
    take_leader(state["leader"])
    return state, socket.socket(fileno=state["listener"])


def _bind(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.path.lexists(path):
        os.unlink(path)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _first_line() -> tuple[bytes, bytes]:
    data = b""
    while b"\n" not in data:
        piece = os.read(0, 65536)
        if not piece:
            sys.exit(0)
        data += piece
    line, _, rest = data.partition(b"\n")
    return line, rest
