"""What a script's Python does before it comes to the script."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tsdask_mpi

ADOPT = Path(tsdask_mpi.__file__).parent / "adopt"
INTERRUPTED = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"


def run(folder: Path, script: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ADOPT}:{folder}"}
    return subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)


def test_an_interrupt_before_the_script_ends_python_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    ended = run(tmp_path, "print('begun')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_an_interrupt_in_the_script_is_its_own(tmp_path: Path) -> None:
    ended = run(tmp_path, f"try:\n    {INTERRUPTED}\nexcept KeyboardInterrupt:\n    print('caught')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "caught\n", "")


def test_an_interrupt_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
    ended = run(tmp_path, f"{INTERRUPTED}; print('alive')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "alive\n", "")


def test_a_script_runs_where_what_changes_its_modules_is_not_imported(tmp_path: Path) -> None:
    adopt = tmp_path / "adopt"
    shutil.copytree(ADOPT, adopt)
    (adopt / "tsdask_adopt" / "patches.py").write_text("1 / 0")
    package = tmp_path / "distributed"
    (package / "deploy").mkdir(parents=True)
    (package / "__init__.py").write_text("from . import client\nfrom .deploy import local\n")
    for name in ("client", "deploy/__init__", "deploy/local"):
        (package / f"{name}.py").write_text("")
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{adopt}:{tmp_path}",
        "TSDASK_CLUSTERS": "adopt",
        "DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:1",
    }
    script = "import distributed, sys; print(type(distributed.client.__loader__).__name__)"
    ended = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "SourceFileLoader\n"), ended.stderr
    warning = "tsdask-mpi: warning: clusters that the script asks for are its own: ZeroDivisionError("
    assert ended.stderr.startswith(warning) and ended.stderr.count("\n") == 1


@pytest.mark.parametrize(("version", "known"), [((3, 9, 18), False), ((3, 10, 0), True)])
def test_a_python_that_is_too_old_for_this_is_left_alone(tmp_path: Path, version: tuple[int, ...], known: bool) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('own')")
    begin = f"""
import os, runpy, sys
os.environ.update(TSDASK_CLUSTERS="adopt", DASK_SCHEDULER_ADDRESS="tcp://127.0.0.1:1")
sys.path[:0] = [{str(ADOPT)!r}]
sys.version_info = {version}
runpy.run_path({str(ADOPT / "sitecustomize.py")!r})
print("tsdask_adopt" in sys.modules)
"""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", begin], env=env, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"own\nown\n{known}\n", "")
