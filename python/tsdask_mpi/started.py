"""The `tsdask-mpi` process of a rank whose Python was there first: started beside it, or put in its place."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from tsdask_mpi import set_before, stand_in
from tsdask_mpi.ranks import World

HERE = Path(__file__).resolve().parent


def _program(here: Path = HERE) -> Path:
    """
    Return `bin/tsdask-mpi` of this installation: of a clone, or of the wheel or system package with these modules.
    """
    # Beside the package itself (`pip install --target`), or beside lib/pythonX/site-packages. Nowhere else: what lies
    # above an installation may be a folder in which everybody can write.
    above = list(here.parents)
    folders = above[:1] + (above[3:4] if above[0].name in ("site-packages", "dist-packages") else [])
    places = [folder / "share" / "tsdask-mpi" / "bin" / "tsdask-mpi" for folder in folders]
    if above[0].name == "python":
        places.append(above[1] / "bin" / "tsdask-mpi")
    return next((path for path in places if path.exists()), places[-1])


PROGRAM = _program()
# Set while this process, or one above it, has a cluster: what it starts is no rank.
MARK = "TSDASK_INITIALIZED"
# Of a launch that ended without a reason of its own before its script had a cluster, as in src/errors/messages.ts: it
# did not come up.
NO_CLUSTER = 69
# Seconds: between two looks whether a process that should connect still lives; for the settings, once connected; for
# the launch's end.
LOOK = 0.1
SETTINGS = 10.0
END = 60.0


def command(options: list[str], client: bool) -> list[str]:
    """Return the command line of a rank; the client's rank runs what stands for the script."""
    script = ["--", sys.executable, "-I", "-S", str(HERE / "stand_in.py")] if client else []
    return [str(PROGRAM), "--python", sys.executable, *options, *script]


def environment(world: World, extra: dict[str, str]) -> dict[str, str]:
    """
    Return what `tsdask-mpi` gets: this process's variables, what it has set of Dask's configuration, and its rank where
    the launcher's variables do not tell it.
    """
    shown = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] not in ("", "-c", "-m") else "the script"
    return {
        **os.environ,
        **set_before.variables(),
        **_modules(),
        **world.environment,
        "TSDASK_SCRIPT_NAME": shown,
        **extra,
    }


def _modules() -> dict[str, str]:
    """Workers import what lies beside the script, as they do where it is `tsdask-mpi` that starts it."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    # With `python -m`, the folder in which it was started is Python's first, and not the inside of the package.
    spec = getattr(main, "__spec__", None)
    if file is None or (spec is not None and spec.name != "__main__"):
        return {}
    path = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.path.dirname(os.path.realpath(file)) + (os.pathsep + path if path else "")}


def become(world: World, words: list[str]) -> NoReturn:
    """Put `tsdask-mpi` into the place of this process."""
    _flush()
    for descriptor in world.descriptors:
        os.set_inheritable(descriptor, True)
    os.execve(words[0], words, environment(world, {}))


def serve(world: World, words: list[str]) -> int:
    """Run `tsdask-mpi` beside this process until it ends, and return its exit code."""
    _flush()
    process = _spawn(world, words, {})
    before = _pass_on(process)
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pass_on(process: subprocess.Popen[bytes]) -> dict[int, Any]:
    """
    Let `tsdask-mpi` have the signals that its rank gets; return the handlers that were there. Only a main thread can.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}

    def pass_on(number: int, frame: object) -> None:
        process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    return {number: signal.signal(number, pass_on) for number in numbers}


class Cluster:
    """The launch as the script's process has it: its settings, and its end."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket, settings: dict[str, str]) -> None:
        self.process = process
        self.settings = settings
        self._connection = connection
        self._owner = os.getpid()
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="tsdask-mpi", daemon=True).start()

    def finish(self, code: int) -> None:
        """
        End the launch with this exit code, and wait until it is over; a second call does nothing, nor does one in a
        process that the script has forked.
        """
        if self._over.is_set() or not self.is_own():
            return
        self._over.set()
        try:
            self._connection.sendall(json.dumps({"code": code}).encode() + b"\n")
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            # It ends already.
            pass
        try:
            self.process.wait(END)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def is_own(self) -> bool:
        """Say whether this is the script's own process, not one that it has forked."""
        return os.getpid() == self._owner

    def _watch(self) -> None:
        """Leave with the launch's exit code when it ends before the script does."""
        while data := self._hear():
            if b"end" in data and callable(signal.getsignal(signal.SIGTERM)):
                # The script has its own way to end.
                os.kill(os.getpid(), signal.SIGTERM)
            elif b"end" in data:
                break
        if self._over.is_set():
            return
        self._connection.close()
        code = self.process.wait()
        if not self._over.is_set():
            _flush()
            os._exit(code if code >= 0 else 128 - code)

    def _hear(self) -> bytes:
        try:
            return self._connection.recv(4096)
        except OSError:
            return b""


def start_client(world: World, words: list[str]) -> Cluster:
    """Start the client's rank beside this process, and return when the cluster can be used.

    SystemExit with the launch's code when it did not come up.
    """
    _flush()
    name = f"tsdask-mpi-{secrets.token_hex(16)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind("\0" + name)
        listener.listen(128)
        process = _spawn(world, words, {stand_in.SOCKET: name})
        connection = None
        while connection is None:
            if select.select([listener], [], [], LOOK)[0]:
                connection = _accept_own(listener)
            elif process.poll() is not None:
                sys.exit(process.returncode or NO_CLUSTER)
    settings = _settings(connection)
    if settings is None:
        process.terminate()
        sys.exit(process.wait() or NO_CLUSTER)
    return Cluster(process, connection, settings)


def _accept_own(listener: socket.socket) -> socket.socket | None:
    """Accept one connection; None when it is another user's: everybody can read the name and connect."""
    connection, _ = listener.accept()
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    if uid == os.getuid():
        return connection
    connection.close()
    return None


def _settings(connection: socket.socket) -> dict[str, str] | None:
    """Return the one line that what stands for the script says first; None when it says nothing."""
    connection.settimeout(SETTINGS)
    data = b""
    try:
        while not data.endswith(b"\n"):
            piece = connection.recv(65536)
            if not piece:
                return None
            data += piece
    except OSError:
        return None
    connection.settimeout(None)
    return {str(name): str(value) for name, value in json.loads(data).items()} if data else None


def _spawn(world: World, words: list[str], extra: dict[str, str]) -> subprocess.Popen[bytes]:
    # In a group of its own: what the launcher sends to this one's is this process's to hear, once.
    group: dict[str, Any] = {"process_group": 0} if sys.version_info >= (3, 11) else {"preexec_fn": os.setpgrp}
    full = environment(world, extra)
    return subprocess.Popen(words, env=full, stdin=subprocess.DEVNULL, pass_fds=world.descriptors, **group)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        _try(stream)


def _try(stream: Any) -> None:
    try:
        stream.flush()
    except (AttributeError, OSError, ValueError):
        # There is none, nobody reads it, or it is closed.
        return
