"""A script that has started its rank itself, and who may speak with it."""

import os
import secrets
import socket
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from tsdask_mpi.started import _accept_own, _modules, _program


def strangers_connection(name: str) -> int:
    """Connect as another user, in a process that leaves with 0 once it was sent away; return its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
                stranger.settimeout(10)
                stranger.connect("\0" + name)
                os._exit(0 if stranger.recv(1) == b"" else 1)
        finally:
            os._exit(2)
    return pid


def test_another_user_who_connects_first_is_sent_away() -> None:
    if os.getuid() != 0:
        pytest.skip("another user's process takes root")
    name = f"tsdask-mpi-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind("\0" + name)
        listener.listen(128)
        listener.settimeout(10)
        pid = strangers_connection(name)
        assert _accept_own(listener) is None
        assert os.waitpid(pid, 0) == (pid, 0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as own:
            own.connect("\0" + name)
            accepted = _accept_own(listener)
            assert accepted is not None
            accepted.close()


def modules_of(file: str, spec: str | None, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what workers get where the script is this file, run as the module `spec` where that is given."""
    main = types.ModuleType("__main__")
    main.__file__ = file
    main.__spec__ = None if spec is None else ModuleSpec(spec, None)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return _modules()


def test_workers_look_where_python_does_for_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "run.py").write_text("")
    (tmp_path / "run.py").symlink_to(tmp_path / "project" / "run.py")
    beside = {"PYTHONPATH": os.path.realpath(tmp_path / "project")}
    assert modules_of(str(tmp_path / "run.py"), None, monkeypatch) == beside
    assert modules_of(str(tmp_path / "project" / "__main__.py"), "__main__", monkeypatch) == beside
    # The inside of a package would hide what the standard library has by the same name.
    assert modules_of(str(tmp_path / "project" / "run.py"), "project.run", monkeypatch) == {}


@pytest.mark.parametrize(
    ("modules", "program"),
    [
        ("ada/clone/python", "ada/clone/bin"),
        ("ada/env/lib/python3.12/site-packages", "ada/env/share/tsdask-mpi/bin"),
        ("local/lib/python3.12/dist-packages", "local/share/tsdask-mpi/bin"),
        ("target", "target/share/tsdask-mpi/bin"),
        ("python", "python/share/tsdask-mpi/bin"),
    ],
)
def test_the_command_is_that_of_the_installation_with_these_modules(tmp_path: Path, modules: str, program: str) -> None:
    own = tmp_path / program / "tsdask-mpi"
    for path in (own, tmp_path / "bin" / "tsdask-mpi"):
        path.parent.mkdir(parents=True)
        path.touch()
    assert _program(tmp_path / modules / "tsdask_mpi") == own


@pytest.mark.parametrize("modules", ["target", "ada/modules", "a/b/c/d", "lib/python3.12/site-packages"])
def test_a_command_above_the_installation_is_a_strangers(tmp_path: Path, modules: str) -> None:
    stranger = tmp_path / "public"
    for folder in ("bin", "share/tsdask-mpi/bin"):
        (stranger / folder).mkdir(parents=True)
        (stranger / folder / "tsdask-mpi").touch()
    own = stranger / "own" if modules.startswith("lib") else stranger
    assert not _program(own / modules / "tsdask_mpi").exists()
