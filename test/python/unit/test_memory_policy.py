"""Whether a child of the fork server gets its memory where its rank does."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tsdask_mpi import memory_policy
from tsdask_mpi.linux import Peer
from tsdask_mpi.requests import Start
from tsdask_mpi.server import Server

# The number of set_mempolicy(2); MPOL_BIND is 2, MPOL_INTERLEAVE 3, as `numactl --membind=0` and `--interleave=0`.
SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}.get(platform.machine())
RANK = """
import ctypes, os, sys
nodes = ctypes.c_ulong(1)
mode = int(sys.argv[2])
if mode and ctypes.CDLL(None).syscall(int(sys.argv[1]), mode, ctypes.byref(nodes), 64) != 0:
    os._exit(1)
os.execvp("sh", ["sh", "-c", "echo set; read -r _"])
"""

pytestmark = pytest.mark.skipif(
    SET_MEMPOLICY is None or not memory_policy.policy("self"), reason="no kernel that tells of memory policies"
)


@contextmanager
def rank(mode: int) -> Iterator[int]:
    """Run a process with that policy, and the shell that a rank is; yields its pid."""
    line = [sys.executable, "-c", RANK, str(SET_MEMPOLICY), str(mode)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.readline():
            pytest.skip("a memory policy may not be set here")
        yield process.pid


@pytest.mark.parametrize(("mode", "policy"), [(0, "default"), (2, "bind:0"), (3, "interleave:0")])
def test_a_policy_is_read_of_a_process(mode: int, policy: str) -> None:
    with rank(mode) as pid:
        assert memory_policy.policy(pid) == policy


@pytest.mark.parametrize(
    ("line", "policy"),
    [
        ("55c06a36f000 default file=/usr/bin/a heap mapped=2 N0=2", "default"),
        ("55c06a36f000 prefer (many):0-1 file=/bin/sh mapped=2", "prefer (many):0-1"),
        ("55c06a36f000 bind=static:0,2 heap anon=3", "bind=static:0,2"),
        ("55c06a36f000 interleave:0 stack", "interleave:0"),
        ("7f00 local", "local"),
    ],
)
def test_a_policy_ends_where_its_mapping_begins(line: str, policy: str) -> None:
    found = memory_policy.POLICY.match(line)
    assert found is not None and found[1] == policy


def test_where_nothing_can_be_read_nothing_is_held_against_it() -> None:
    assert memory_policy.policy("no-process") == ""
    with rank(2) as pid:
        assert memory_policy.difference("", pid) is None
    assert memory_policy.difference("default", 2**30) is None


@pytest.mark.parametrize(("mode", "refused"), [(0, b""), (2, b"memory policy is bind:0, the fork server's default")])
def test_a_rank_with_a_policy_of_its_own_is_told_to_start_its_child_itself(
    mode: int, refused: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, other = socket.socketpair()
    control, asks = socket.socketpair()
    stdio, output = socket.socketpair()
    with listener, other, asks, output, control, stdio, rank(mode) as pid:
        server = Server(
            listener, str(tmp_path), commands=b"", request_seconds=1.0, prepare=lambda _: None, baseline=None
        )
        starts = iter([Start("2-1", "worker", {}, control, stdio, Peer(pid, 0, 0), b"")])
        monkeypatch.setattr(server._requests, "next_start", lambda workers: next(starts, None))
        forked: list[Start] = []
        monkeypatch.setattr(server, "_fork", forked.append)
        server._start_what_is_whole()
        assert len(forked) == (0 if refused else 1)
        control.close()
        assert refused in asks.recv(4096)
