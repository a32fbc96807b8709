"""How long the fork server waits for what comes next, and how it takes leave of a rank and of a script."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tsdask_mpi
from tsdask_mpi.server import Server


def _server(listener: socket.socket, folder: Path) -> Server:
    return Server(
        listener,
        str(folder),
        commands=b"",
        request_seconds=1.0,
        prepare=lambda _: None,
        baseline=None,
        engine=False,
    )


@pytest.mark.parametrize("grace", [0.0, 10.0, 30 * 86400.0, 1e9])
def test_a_grace_of_any_length_is_waited_for(grace: float, tmp_path: Path) -> None:
    """epoll(7) takes no more than 24.8 days: a longer wait was an OverflowError that ended the server at once."""
    listener, other = socket.socketpair()
    with listener, other:
        server = _server(listener, tmp_path)
        server._epoll.register(listener.fileno(), select.EPOLLIN)
        server.end(grace)
        other.send(b"x")
        assert server._epoll.poll(server._timeout()) == [(listener.fileno(), select.EPOLLIN)]


def test_a_rank_that_writes_when_its_child_has_ended_hears_how(tmp_path: Path) -> None:
    """Its connection was closed at once: Node ends one whose write fails, and never reads what has come."""
    listener, other = socket.socketpair()
    control, rank = socket.socketpair()
    with listener, other:
        server = _server(listener, tmp_path)
        server._tell_last(control, {"event": "exit", "code": 3, "signal": None})
        rank.send(b"stop\n")
        assert b'"code":3' in rank.recv(4096).replace(b" ", b"")
        assert rank.recv(4096) == b""
        assert server._epoll.poll(0) == []
        rank.close()
        for fd, _ in server._epoll.poll(5):
            server._event(fd)
        assert control.fileno() == -1


SERVER = """
import socket, sys
sys.path.insert(0, sys.argv[1])
from tsdask_mpi.server import Server
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[2] + "/fork.sock")
listener.listen()
listener.setblocking(False)
print("listening", flush=True)
rest = dict(commands=b"", request_seconds=10.0, prepare=lambda _: None, baseline=None, engine=False)
Server(listener, sys.argv[2], **rest).run()
"""
SAVING = "trap 'sleep {}; exit 5' TERM; echo running; while :; do sleep 0.05; done"


def _watch(connection: socket.socket, folder: Path, pid: int) -> None:
    connection.connect(str(folder / "fork.sock"))
    connection.sendall(json.dumps({"op": "watch", "pid": pid}).encode() + b"\n")


@pytest.mark.parametrize(("seconds", "leader_stays", "code"), [(0.5, True, 5), (30, False, -9)])
def test_a_script_ends_within_the_grace_as_long_as_the_leader_lives(
    seconds: float, leader_stays: bool, code: int, tmp_path: Path
) -> None:
    """One that saved what it had was killed as soon as the scheduler and the workers had ended."""
    folder = tmp_path / "tsdask" / "host"
    folder.mkdir(parents=True)
    program = [sys.executable, "-c", SERVER, str(Path(tsdask_mpi.__file__).parents[1]), str(folder)]
    with (
        subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server,
        subprocess.Popen(["sh", "-c", SAVING.format(seconds)], stdout=subprocess.PIPE) as script,
        socket.socket(socket.AF_UNIX) as watch,
        socket.socket(socket.AF_UNIX) as later,
    ):
        assert server.stdin is not None and server.stdout is not None and script.stdout is not None
        assert server.stdout.readline() and script.stdout.readline()
        _watch(watch, folder, script.pid)
        # A process that is none of a rank's is not watched: this is said when those before have been taken.
        _watch(later, folder, os.getpid())
        assert later.recv(1) == b""
        script.terminate()
        server.stdin.write(b'{"op":"end","grace":60}\n')
        server.stdin.flush()
        if not leader_stays:
            server.stdin.close()
        assert script.wait(20) == code
        assert folder.exists() or not leader_stays
        watch.close()
        assert server.wait(20) == 0
    assert not folder.exists()


def test_a_server_that_fails_cleans_up_also_where_nobody_reads_what_it_writes(tmp_path: Path) -> None:
    folder = tmp_path / "tsdask" / "host"
    folder.mkdir(parents=True)
    failing = "def fail(_):\n    raise RuntimeError\nServer._serve = fail\nServer(listener"
    program = [
        sys.executable,
        "-c",
        SERVER.replace("Server(listener", failing),
        str(Path(tsdask_mpi.__file__).parents[1]),
    ]
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen([*program, str(folder)], stdout=subprocess.PIPE, stderr=writer) as server:
        os.close(writer)
        assert server.wait(20) == 70
    assert not folder.exists()
