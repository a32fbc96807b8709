"""What a `tsdask_mpi.Cluster` starts and holds: the launch or job behind it, and what its own commands say."""

from __future__ import annotations

import json
import os
import re
import select
import stat
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tsdask_mpi.started import PROGRAM
from tsdask_mpi.submitted import Job
from tsdask_mpi.watchdog import remove_folder

KEEPER = Path(__file__).resolve().parent / "keeper.py"
# Seconds: between two looks for scheduler.json; for one of our own commands; for the keeper's end, which may take two
# commands of 90 each and three tries to remove a folder (keeper.py).
LOOK = 0.1
COMMAND = 120.0
END = 200.0
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


class Private(NamedTuple):
    """A private folder, and its device and inode: by its path alone another one may be meant by now."""

    path: str
    identity: tuple[int, int]


@dataclass
class Source:
    """
    Where a cluster comes from: a launch here, a batch job, or one that runs already; `file` is its scheduler.json, and
    `trust` says that the group that may write in its folder is trusted.
    """

    file: str
    command: list[str] | None = None
    end: list[list[str]] = field(default_factory=list)
    private: Private | None = None
    timeout: float = 300.0
    job: Job | None = None
    trust: bool = False

    def connect(self, file: str | None = None) -> str:
        """Return what `tsdask-mpi connect --json` prints of the cluster; ClusterStartError when it fails."""
        return run("connect", "--json", *words({"trust_shared_folder": self.trust or None}), file or self.file)


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
        said = done.stderr.strip() or f"`tsdask-mpi {line[0]}` ended with {done.returncode}"
        cure = "\nIn Python: trust_shared_folder=True." if "say --trust-shared-folder" in said else ""
        raise ClusterStartError(said + cure)
    return done.stdout


def private_folder(prefix: str, folder: str | None) -> Private:
    """
    Make a folder that only this user can use. ClusterStartError where that cannot be, or somebody who can rename there
    has put another one in its place.
    """
    path = tempfile.mkdtemp(prefix=prefix, dir=folder)
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(opened)
        private = found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077 == 0
        if not private or os.listdir(opened):
            raise ClusterStartError(
                f"TSD-168 {path} is no folder that only you can use. folder= names another place for it."
            )
    finally:
        os.close(opened)
    return Private(path, (found.st_dev, found.st_ino))


def _not_up_yet(source: Source) -> None:
    """
    Ask for a cluster that is not there yet: what else `connect` complains of than that, such as a folder that a group
    may write in, it would complain of at the end, after hours in a queue. ClusterStartError with its words.
    """
    try:
        source.connect()
    except ClusterStartError as error:
        if re.findall(r"TSD-\d+", str(error))[:1] != ["TSD-023"]:
            raise


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """
    Return a launch's options under their names in Python. ValueError for the one that its private folder is for: it
    would be waited for in vain there.
    """
    found = {name.replace("-", "_"): value for name, value in options.items()}
    if found.get("scheduler_file") is not None:
        raise ValueError(
            "scheduler_file= is not for a Cluster: its file is in a folder of its own, which folder= names the place "
            "of; cluster.scheduler_file is its path"
        )
    return {name: value for name, value in found.items() if name != "scheduler_file"}


def here(np: int, options: dict[str, Any], timeout: float, folder: str | None) -> Source:
    """Return a launch of `np` ranks on this machine, in a private folder, or in one that other hosts share."""
    options = _known(options)
    private = private_folder("tsdask-cluster-", folder)
    file = os.path.join(private.path, "scheduler.json")
    line = words({"np": np, "python": sys.executable, "scheduler_file": file, "start_timeout": timeout, **options})
    source = Source(
        file,
        command=[str(PROGRAM), *line],
        private=private,
        timeout=timeout,
        trust=bool(options.get("trust_shared_folder")),
    )
    with _discarded_on_failure(private):
        _not_up_yet(source)
    return source


def batch(system: str, job: dict[str, Any], options: dict[str, Any], timeout: float, folder: str | None) -> Source:
    """Submit a launch as a job; its scheduler.json lies in a private folder that the job's hosts must see."""
    options = _known(options)
    private = private_folder(".tsdask-cluster-", folder or os.getcwd())
    file = os.path.join(private.path, "scheduler.json")
    line = words({"python": sys.executable, "scheduler_file": file, "start_timeout": timeout, **options})
    source = Source(file, private=private, timeout=timeout, trust=bool(options.get("trust_shared_folder")))
    with _discarded_on_failure(private):
        _not_up_yet(source)
        number = run("script", system, "--submit", *words(job), "--", *line).split()[-1]
    source.end = [[str(PROGRAM), "stop", file], [*CANCEL[system], number]] if system in CANCEL else []
    source.job = Job(system, number, job.get("output"))
    return source


@contextmanager
def _discarded_on_failure(private: Private) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            remove_folder(*private)
        raise


# The processes that keep what this one has started.
_keepers: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()


def _let_go() -> None:
    # A pool's process would hold the pipes open for as long as it lives, and so the cluster.
    for keeper in _keepers:
        _release(keeper)


os.register_at_fork(after_in_child=_let_go)


class Kept:
    """A cluster's source while it is held. When this object goes, or its process, so does what was started."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.log = os.path.join(source.private.path, "tsdask-mpi.log") if source.private else None
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
        _keepers.add(self._keeper)
        # Closing the pipe is all there is to do; the keeper does the rest, also when this process was killed.
        self._finalizer = weakref.finalize(self, _release, self._keeper)

    def wait(self) -> dict[str, Any]:
        """
        Return what `tsdask-mpi connect --json` tells, once the cluster is up; ClusterStartError when it does not come
        up.
        """
        source = self.source
        until = time.monotonic() + source.timeout
        while source.private is not None and not os.path.exists(source.file):
            if self.ended():
                raise ClusterStartError(f"TSD-168 The cluster did not come up.\n{self.said()}")
            if source.job is not None and source.job.is_gone():
                raise ClusterStartError(f"TSD-168 The cluster did not come up. {source.job.said()}")
            if time.monotonic() > until:
                raise ClusterStartError(
                    f"TSD-168 The cluster was not up after {source.timeout:.0f} seconds{self._waits()}. start_timeout= gives it more.\n{self.said()}"
                )
            time.sleep(LOOK)
        told: dict[str, Any] = json.loads(source.connect())
        return told

    def _waits(self) -> str:
        if self.source.job is None:
            return ""
        self.source.job.look()
        return self.source.job.now()

    def ended(self) -> bool:
        """Say whether what was started here has ended by itself; of a job, its keeper does not know."""
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
        """End what was started, and return when it is gone, or when its keeper does not come to an end."""
        if self._finalizer is not None:
            self._finalizer()
        if self._keeper is not None:
            # What the user's own code has returned or raised says more; the keeper goes on by itself.
            with suppress(subprocess.TimeoutExpired):
                self._keeper.wait(END)


def _release(keeper: subprocess.Popen[bytes]) -> None:
    for pipe in (keeper.stdin, keeper.stdout):
        if pipe is not None:
            pipe.close()
