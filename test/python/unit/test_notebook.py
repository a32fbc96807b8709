"""Notebooks that are executed without a launch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tsdask_mpi

OWN = Path(__file__).parents[3] / ".venv" / "bin" / "python"
PYTHON = str(OWN) if OWN.exists() else sys.executable
LACKS = subprocess.run([PYTHON, "-c", "import nbclient, ipykernel"], capture_output=True, check=False).returncode != 0
pytestmark = pytest.mark.skipif(LACKS, reason="notebooks need nbclient and ipykernel")

PROGRAM = Path(tsdask_mpi.__file__).parent / "notebook.py"
MESSAGES = {name: f"{name}: {{problem}}" for name in ("missing", "unusable", "kernel")}


def execute(folder: Path, *sources: str) -> subprocess.CompletedProcess[str]:
    """Execute a notebook with these cells, which is saved as `out/n.ipynb` in the folder that the cells run in."""
    code = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cells = [{**code, "id": f"c{index}", "source": source} for index, source in enumerate(sources)]
    notebook = folder / "n.ipynb"
    notebook.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    if not (folder / "out").exists():
        (folder / "out").mkdir()
    request = {
        "notebook": str(notebook),
        "output": str(folder / "out" / "n.ipynb"),
        "parameters": [],
        "raw": [],
        "kernel": None,
        "allow_errors": False,
        "grace": 10,
        "start_timeout": 60,
        "messages": MESSAGES,
    }
    command = [PYTHON, str(PROGRAM), json.dumps(request)]
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
