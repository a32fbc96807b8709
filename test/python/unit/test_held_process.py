"""Processes that are held, with and without what Python and the kernel have for it."""

import errno
import os
import select
import signal
import subprocess
from collections.abc import Iterator

import pytest
from tsdask_mpi import held_process, linux
from tsdask_mpi.held_process import HeldProcess


@pytest.fixture(params=["python's", "by number", "none"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As it is, as in a Python that was built with older headers, and as on a kernel before 5.3."""
    if request.param != "python's":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
        monkeypatch.delattr(signal, "pidfd_send_signal", raising=False)
    if request.param == "none":

        def refused(*_: int) -> int:
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(linux, "_call", refused)
    return str(request.param)


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_it_lives_until_it_is_killed(way: str, sleeper: "subprocess.Popen[bytes]") -> None:
    held = HeldProcess(sleeper.pid)
    assert (held.descriptor is None) == (way == "none")
    assert not held.ended()
    held.kill()
    # Nobody has asked for its code yet.
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert held.ended()
    if held.descriptor is not None:
        assert select.select([held.descriptor], [], [], 0)[0]
    assert sleeper.wait() == -signal.SIGKILL
    assert held.ended()
    with pytest.raises(ProcessLookupError):
        held.kill()
    held.close()


@pytest.mark.usefixtures("way")
def test_what_is_gone_cannot_be_held() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ProcessLookupError):
        HeldProcess(process.pid)
    assert os.listdir("/proc/self/fd") == before


def test_a_later_process_with_its_number_is_spared(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int) -> int:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(linux, "pidfd_open", refused)
    held = HeldProcess(sleeper.pid)
    real = held_process.stat_of(sleeper.pid)
    assert real is not None
    monkeypatch.setattr(held_process, "stat_of", lambda _: real._replace(start=real.start + 1))
    assert held.ended()
    with pytest.raises(ProcessLookupError):
        held.kill()
    assert sleeper.poll() is None
