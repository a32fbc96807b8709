"""What is changed in Jupyter before it starts."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def serve_jupyter(monkeypatch: pytest.MonkeyPatch) -> Any:
    # It takes the first folder off the module path, as it is started by its path.
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    return importlib.import_module("tsdask_mpi.serve_jupyter")


def test_jupyterlab_asks_no_yarn_in_whichever_server_it_is(serve_jupyter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for name in ("probe", "change_kernel_command", "before_start", "before_request", "leave_yarn"):
        monkeypatch.setattr(serve_jupyter.jupyter_server, name, lambda *_, name=name: called.append(name))
    monkeypatch.setattr(sys, "argv", ["serve_jupyter.py", "jupyter_server", "shown"])
    monkeypatch.setattr(serve_jupyter.runpy, "run_module", lambda module, **_: called.append(module))
    monkeypatch.setattr(serve_jupyter, "_defaults", lambda _: None)
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    monkeypatch.setattr(serve_jupyter.os, "chdir", lambda _: None)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "runtime")
    serve_jupyter.main()
    assert called[-2:] == ["leave_yarn", "jupyter_server"]


LAUNCHER = ["-m", "ipykernel_launcher", "-f", "connection.json"]


@pytest.mark.parametrize("options", [[], ["-s", "-Xfrozen_modules=off"], ["-X", "frozen_modules=off"]])
def test_ipykernel_of_a_python_is_started_by_a_path(serve_jupyter: Any, options: list[str]) -> None:
    changed = serve_jupyter.kernel_command([sys.executable, *options, *LAUNCHER])
    assert changed == [sys.executable, *options, serve_jupyter.RUN_KERNEL, "-f", "connection.json"]


@pytest.mark.parametrize(
    "before",
    [
        ["env", "python"],
        ["env", "--", "python"],
        ["no-such-program"],
        [],
    ],
)
def test_a_kernel_that_something_else_starts_keeps_its_command(serve_jupyter: Any, before: list[str]) -> None:
    assert serve_jupyter.kernel_command([*before, *LAUNCHER]) == [*before, *LAUNCHER]


def test_a_python_that_is_a_script_may_lead_into_a_container(serve_jupyter: Any, tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\nexec singularity exec image.sif python "$@"\n')
    script.chmod(0o700)
    assert serve_jupyter.kernel_command([str(script), *LAUNCHER]) == [str(script), *LAUNCHER]


def test_other_kernels_keep_their_command(serve_jupyter: Any) -> None:
    for command in (["ir", "-m"], [sys.executable, "-m", "bash_kernel", "-f", "x"], ["julia", "x.jl"]):
        assert serve_jupyter.kernel_command(command) == command
