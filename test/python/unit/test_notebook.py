"""Notebooks that are executed without a launch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tsdask_mpi

OWN = Path(__file__).parents[3] / ".venv" / "bin" / "python"
PYTHON = str(OWN) if OWN.exists() else sys.executable
LACKS = subprocess.run([PYTHON, "-c", "import nbclient, ipykernel"], capture_output=True, check=False).returncode != 0
pytestmark = pytest.mark.skipif(LACKS, reason="notebooks need nbclient and ipykernel")

PROGRAM = Path(tsdask_mpi.__file__).parent / "notebook.py"
MESSAGES = {name: f"{name}: {{problem}}" for name in ("missing", "unusable", "kernel")}


def request(folder: Path, *sources: str, kernel: str | None = None) -> str:
    """
    Write a notebook with these cells, which is to be saved as `out/n.ipynb` in the folder that the cells run in; return
    the program's argument.
    """
    code = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cells = [{**code, "id": f"c{index}", "source": source} for index, source in enumerate(sources)]
    notebook = folder / "n.ipynb"
    notebook.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    if not (folder / "out").exists():
        (folder / "out").mkdir()
    asked = {
        "notebook": str(notebook),
        "output": str(folder / "out" / "n.ipynb"),
        "parameters": [],
        "raw": [],
        "kernel": kernel,
        "allow_errors": False,
        "grace": 10,
        "start_timeout": 60,
        "messages": MESSAGES,
    }
    return json.dumps(asked)


def execute(folder: Path, *sources: str) -> subprocess.CompletedProcess[str]:
    """Execute a notebook with these cells."""
    command = [PYTHON, str(PROGRAM), request(folder, *sources)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def outputs(folder: Path) -> list[str]:
    """Return what each cell of the saved notebook has put out as text."""
    cells = json.loads((folder / "out" / "n.ipynb").read_text())["cells"]
    return ["".join(line for one in cell["outputs"] for line in one.get("text", [])) for cell in cells]


def test_a_folder_that_is_away_for_two_saves_ends_nothing(tmp_path: Path) -> None:
    ended = execute(tmp_path, "import os; os.rename('out', 'away')", "print(1)", "os.rename('away', 'out')", "print(2)")
    assert (ended.returncode, ended.stdout) == (0, "1\n2\n"), ended.stderr
    assert ended.stderr.count("\n") == 1 and "out/n.ipynb cannot be written: No such file" in ended.stderr
    assert outputs(tmp_path) == ["", "1\n", "", "2\n"]


@pytest.mark.parametrize(("last", "code"), [("print(2)", 1), ("os._exit(4)", 4)])
def test_a_last_save_that_fails_is_said_and_no_success(tmp_path: Path, last: str, code: int) -> None:
    ended = execute(tmp_path, "import os; os.rename('out', 'away')", "print(1)", last)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout.startswith("1\n")
    assert "it lacks what came since it was last saved" in ended.stderr.splitlines()[-1]


def test_a_first_save_that_fails_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("no folder")
    ended = execute(tmp_path, "print(1)")
    assert (ended.returncode, ended.stdout) == (64, "")
    assert ended.stderr.startswith("unusable: ") and ended.stderr.count("\n") == 1


def test_exit_ends_the_notebook_and_the_cells_behind_it_do_not_run(tmp_path: Path) -> None:
    ended = execute(tmp_path, "print(1)", "exit()", *["import time; time.sleep(0.3); print(2)"] * 4)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")
    assert outputs(tmp_path) == ["1\n", "", "", "", "", ""]


def test_an_error_in_the_cell_that_exits_is_an_error(tmp_path: Path) -> None:
    ended = execute(tmp_path, "exit(); 1 / 0", "print(2)")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "cell 1 of 2 failed" in ended.stderr


def test_no_output_is_lost_though_stdout_is_read_slowly(tmp_path: Path) -> None:
    line = "x" * 60
    asked = request(tmp_path, f"for i in range(4000): display('{line}')\nprint('the result')", "print(2)")
    with subprocess.Popen([PYTHON, str(PROGRAM), asked], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        # Longer than nbclient itself waits for outputs behind a cell's end.
        time.sleep(6)
        rest = running.stdout.read()
    assert running.returncode == 0
    assert f"{first}{rest}" == f"'{line}'\n" * 4000 + "the result\n2\n"
    assert outputs(tmp_path) == ["the result\n", "2\n"]
    saved = json.loads((tmp_path / "out" / "n.ipynb").read_text())["cells"]
    assert len(saved[0]["outputs"]) == 4001


def test_a_file_with_a_byte_order_mark_and_without_a_minor_format_is_executed(tmp_path: Path) -> None:
    asked = json.loads(request(tmp_path, "print(x)")) | {"parameters": [["x", "7"]]}
    notebook = json.loads((tmp_path / "n.ipynb").read_text())
    del notebook["nbformat_minor"]
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook), encoding="utf-8-sig")
    command = [PYTHON, str(PROGRAM), json.dumps(asked)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "7\n"), ended.stderr


# A kernel that never says that a cell's outputs are all there, as one whose message was dropped.
FORGETFUL = """
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

class Kernel(IPythonKernel):
    def _publish_status(self, status, *more, **named):
        if status != "idle":
            super()._publish_status(status, *more, **named)

IPKernelApp.launch_instance(kernel_class=Kernel)
"""


def test_outputs_that_may_be_lost_are_no_success(tmp_path: Path) -> None:
    spec = tmp_path / "kernels" / "forgetful"
    spec.mkdir(parents=True)
    (spec / "kernel.py").write_text(FORGETFUL)
    argv = [PYTHON, str(spec / "kernel.py"), "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "F", "language": "python"}))
    code = "import sys; from tsdask_mpi import notebook; notebook.OUTPUTS_WITHIN_OTHERS = 1; sys.exit(notebook.main())"
    ended = subprocess.run(
        [PYTHON, "-c", code, request(tmp_path, "print(1)", "print(2)", kernel="forgetful")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parents[1]), "JUPYTER_PATH": str(tmp_path)},
    )
    assert (ended.returncode, ended.stdout) == (1, "1\n"), ended.stderr
    assert "cell 1 of 2 has ended" in ended.stderr
    assert outputs(tmp_path) == ["1\n", ""]
