"""What a script's Python does before it comes to the script."""

import os
import signal
import subprocess
import sys
from pathlib import Path

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
