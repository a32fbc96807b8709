"""What a `tsdask_mpi.Cluster` starts and holds: the launch or job behind it, and what its own commands say."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tsdask_mpi.started import PROGRAM

KEEPER = Path(__file__).resolve().parent / "keeper.py"
# Seconds: between two looks for scheduler.json; for one of our own commands; for the keeper's end.
LOOK = 0.1
COMMAND = 120.0
END = 150.0
# Of a script inside a launch: they mean that launch, and what is started here is one of its own.
FOREIGN = ("TSDASK_CLUSTERS", "TSDASK_SCHEDULER_FILE", "TSDASK_SCRIPT_MARK", "TSDASK_INITIALIZED")
# What removes a job that never came so far as to have a cluster.
CANCEL = {
    "slurm": ["scancel"],
    "pbs": ["qdel"],
    "sge": ["qdel"],
    "lsf": ["bkill"],
    "htcondor": ["condor_rm"],
    "flux": ["flux", "cancel"],
}


class ClusterStartError(RuntimeError):
    """The cluster did not come up; the message has its own words for why."""


@dataclass
class Source:
    """
    Where a cluster comes from: a launch here, a batch job, or one that runs already; `file` is its scheduler.json.
    """

    file: str
    command: list[str] | None = None
    end: list[list[str]] = field(default_factory=list)
    private: str | None = None
    timeout: float = 300.0
    job: str | None = None


def words(options: dict[str, Any]) -> list[str]:
    """
    Return the command line's form of keyword arguments: `nthreads=2` is `--nthreads 2`, `nanny=False` is `--no-nanny`.
    """
    line: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            line.append(flag if value else "--no-" + flag[2:])
        elif isinstance(value, dict):
            line.append(f"{flag}={json.dumps(value)}")
        else:
            # In one word: a value may begin with dashes, as directives do.
            line += [f"{flag}={one}" for one in (value if isinstance(value, (list, tuple)) else [value])]
    return line


def environment() -> dict[str, str]:
    """
    Return this process's environment, with this Python for Dask, without what belongs to a launch that it is the script
    of.
    """
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    # Worker jobs on this machine inherit it: one Python for all.
    kept.setdefault("TSDASK_PYTHON", sys.executable)
    path = [entry for entry in kept.pop("PYTHONPATH", "").split(os.pathsep) if not entry.endswith("/tsdask_mpi/adopt")]
    if path not in ([], [""]):
        kept["PYTHONPATH"] = os.pathsep.join(path)
    return kept


def run(*line: str) -> str:
    """
    Run `tsdask-mpi` with these words, and return what it prints; ClusterStartError with its own message when it fails.
    """
    try:
        done = subprocess.run(
            [str(PROGRAM), *line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND,
            env=environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterStartError(
            f"TSD-168 `tsdask-mpi {line[0]}` did not answer within {COMMAND:.0f} seconds."
        ) from error
    if done.returncode != 0:
        raise ClusterStartError(done.stderr.strip() or f"`tsdask-mpi {line[0]}` ended with {done.returncode}")
    return done.stdout


def here(np: int, options: dict[str, Any], timeout: float, folder: str | None) -> Source:
    """Return a launch of `np` ranks on this machine, in a private folder, or in one that other hosts share."""
    private = tempfile.mkdtemp(prefix="tsdask-cluster-", dir=folder)
    file = os.path.join(private, "scheduler.json")
    line = words({"np": np, "python": sys.executable, "scheduler_file": file, "start_timeout": timeout, **options})
    return Source(file, command=[str(PROGRAM), *line], private=private, timeout=timeout)


def batch(system: str, job: dict[str, Any], options: dict[str, Any], timeout: float, folder: str | None) -> Source:
    """Submit a launch as a job; its scheduler.json lies in a private folder that the job's hosts must see."""
    private = tempfile.mkdtemp(prefix=".tsdask-cluster-", dir=folder or os.getcwd())
    file = os.path.join(private, "scheduler.json")
    line = words({"python": sys.executable, "scheduler_file": file, "start_timeout": timeout, **options})
    try:
        number = run("script", system, "--submit", *words(job), "--", *line).split()[-1]
    except BaseException:
        shutil.rmtree(private, ignore_errors=True)
        raise
    end = [[str(PROGRAM), "stop", file], [*CANCEL[system], number]] if system in CANCEL else []
    return Source(file, end=end, private=private, timeout=timeout, job=f"{system} {number}")


class Kept:
    """A cluster's source while it is held. When this object goes, or its process, so does what was started."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.log = os.path.join(source.private, "tsdask-mpi.log") if source.private else None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[Any, Kept] | None = None
        if source.private is not None:
            self._keep()

    def _keep(self) -> None:
        spec = {
            "command": self.source.command,
            "log": self.log,
            "end": self.source.end,
            "remove": [self.source.private],
        }
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
        # Closing the pipe is all there is to do; the keeper does the rest, also when this process was killed.
        self._finalizer = weakref.finalize(self, _release, self._keeper)

    def wait(self) -> dict[str, Any]:
        """
        Return what `tsdask-mpi connect --json` tells, once the cluster is up; ClusterStartError when it does not come
        up.
        """
        until = time.monotonic() + self.source.timeout
        while self.source.private is not None and not os.path.exists(self.source.file):
            if self._ended():
                raise ClusterStartError(f"TSD-168 The cluster did not come up.\n{self.said()}")
            if time.monotonic() > until:
                waits = f"; {self.source.job} is still waiting" if self.source.job else ""
                raise ClusterStartError(
                    f"TSD-168 The cluster was not up after {self.source.timeout:.0f} seconds{waits}. start_timeout= gives it more.\n{self.said()}"
                )
            time.sleep(LOOK)
        told: dict[str, Any] = json.loads(run("connect", "--json", self.source.file))
        return told

    def _ended(self) -> bool:
        keeper = self._keeper
        if keeper is None or keeper.stdout is None:
            return False
        return keeper.poll() is not None or bool(select.select([keeper.stdout], [], [], 0)[0])

    def said(self) -> str:
        """Return what the launch has said so far."""
        try:
            with open(self.log or "", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def end(self) -> None:
        """End what was started, and return when it is gone."""
        if self._finalizer is not None:
            self._finalizer()
        if self._keeper is not None:
            self._keeper.wait(END)


def _release(keeper: subprocess.Popen[bytes]) -> None:
    for pipe in (keeper.stdin, keeper.stdout):
        if pipe is not None:
            pipe.close()
