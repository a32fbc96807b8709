"""
`cluster.scale()` and `cluster.adapt()`: the command `tsdask-mpi scale` or `adapt` where the site allows it, else one
line.
"""

import atexit
import json
import math
import numbers
import os
import subprocess
import sys
import threading

from . import notes

_HERE = os.path.dirname(os.path.abspath(__file__))
_PROGRAM = os.path.join(_HERE, *[os.pardir] * 4, "bin", "tsdask-mpi")
_KEEPER = os.path.join(_HERE, *[os.pardir] * 2, "keeper.py")
#: Seconds that `tsdask-mpi adapt` gets to cancel its jobs when the script ends.
_END = 20
#: Seconds in which `tsdask-mpi scale` has its jobs submitted, or is given up.
_SUBMITTED = 120


def limit():
    """How many workers a script may ask for (--script-scale); 0: it may not."""
    words = notes.settings.get("script-scale", "0")
    return int(words) if words.isdigit() and os.environ.get("TSDASK_SCHEDULER_FILE") else 0


class Done:
    """What scale() returns: nothing, and an awaitable where the cluster is asynchronous."""

    def __new__(cls, asynchronous):
        return super().__new__(cls) if asynchronous else None

    def __await__(self):
        return iter(())


def scale(cluster, n, jobs=None, memory=None, cores=None):
    """
    Asks for `n` workers in all, or as many as `jobs`, `cores`, or `memory` (bytes or text) of them make, as
    dask-jobqueue counts.
    """
    present = notes.planned_workers() or len(cluster.scheduler_info["workers"])
    asked = f"scale({_first(n=n, jobs=jobs, memory=memory, cores=cores)})"
    # NumPy's integers and floats are numbers of workers, too.
    wanted = None if n is None else math.ceil(n)
    if not limit():
        if wanted != present:
            notes.note(
                f"{asked}: this launch is as large as it is, {notes.count(present, 'worker')}; --script-scale lets a script ask for more."
            )
        return
    if wanted is None:
        if jobs is None and memory is None and cores is None:
            return
        wanted = _from_sizes(cluster, jobs, memory, cores)
    if wanted > limit():
        notes.note(f"{asked}: --script-scale allows {notes.count(limit(), 'worker')}.")
    _start(["scale", str(min(wanted, limit()))])


def adapt(cluster, words):
    least, most = (words.get(name) or words.get(f"{name}_jobs") for name in ("minimum", "maximum"))
    if not limit():
        present = notes.planned_workers() or len(cluster.scheduler_info["workers"])
        notes.note(
            f"adapt(): this launch is as large as it is, {notes.count(present, 'worker')}; --script-scale lets a script ask for more."
        )
        return Adapting(None)
    finite = isinstance(most, numbers.Real) and math.isfinite(most)
    most = min(math.ceil(most) if finite else limit(), limit())
    return adapting(min(int(least or 0), most), max(most, 1))


def adapting(minimum, maximum):
    """`tsdask-mpi adapt` between these numbers of workers, until it is stopped."""
    return Adapting(_keep(["adapt", "--min", str(minimum), "--max", str(maximum)]), minimum, maximum)


class Adapting:
    """What adapt() returns; `stop()` ends it."""

    def __init__(self, keeper, minimum=0, maximum=0):
        self._keeper = keeper
        self.minimum, self.maximum = minimum, maximum
        #: Dask's widget takes it for on while this is something.
        self.periodic_callback = keeper
        if keeper is not None:
            threading.Thread(target=self._watch, args=(keeper,), daemon=True).start()
            atexit.register(self.stop)

    def _watch(self, keeper):
        # It says so when the command has ended, and nothing when it is gone itself.
        waits = keeper.stdout.read(1)
        self.periodic_callback = None
        if waits:
            _release(keeper)
        keeper.wait()

    def stop(self):
        keeper, self._keeper = self._keeper, None
        self.periodic_callback = None
        if keeper is None or keeper.poll() is not None:
            return
        _release(keeper)
        try:
            keeper.wait(_END)
        except subprocess.TimeoutExpired:
            keeper.kill()


def _release(keeper):
    """Has it end its command. A word, not the pipe's end: a process that the script has forked holds that, too."""
    try:
        keeper.stdin.write(b"\n")
    except OSError:
        return  # it is gone


def _first(**words):
    return next(
        (f"{value}" if name == "n" else f"{name}={value!r}" for name, value in words.items() if value is not None), ""
    )


def _from_sizes(cluster, jobs, memory, cores):
    workers = list(cluster.scheduler_info["workers"].values())
    if cores is not None:
        return -(-int(cores) // max([worker["nthreads"] for worker in workers], default=1))
    if memory is not None:
        from dask.utils import parse_bytes

        each = max([worker.get("memory_limit") or 0 for worker in workers], default=0)
        return -(-parse_bytes(memory) // each) if each else len(workers)
    return int(jobs or 0)


def scale_now(n):
    """
    Asks for `n` workers in all, for a person who has clicked, and waits until their jobs are submitted; returns what
    the command said. RuntimeError, with its words, when that fails.
    """
    refuse_more_than_allowed(n)
    command, env = _command(["scale", str(n)])
    folder = os.path.dirname(os.environ["TSDASK_SCHEDULER_FILE"])
    try:
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, cwd=folder, timeout=_SUBMITTED
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"`{' '.join(command)}`: {error}") from None
    said = ran.stderr.replace("tsdask-mpi: ", "").strip()
    if ran.returncode != 0:
        raise RuntimeError(said or f"exit code {ran.returncode}")
    return said


def refuse_more_than_allowed(n):
    """A person's click needs no --script-scale; where that says how many, it counts for them, too. RuntimeError."""
    if 0 < limit() < n:
        raise RuntimeError(f"--script-scale allows {notes.count(limit(), 'worker')}")


def _command(words):
    """Our own command, without what belongs to the script's Python alone; its jobs inherit this environment."""
    env = {name: value for name, value in os.environ.items() if name != "TSDASK_CLUSTERS"}
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = [entry for entry in env.pop("PYTHONPATH", "").split(os.pathsep) if entry != folder]
    if path not in ([], [""]):
        env["PYTHONPATH"] = os.pathsep.join(path)
    return [_PROGRAM, *words, os.environ["TSDASK_SCHEDULER_FILE"]], env


def _start(words):
    """Runs our own command beside the script, out of reach of what interrupts a notebook's cell."""
    command, env = _command(words)
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env, start_new_session=True
        )
    except OSError as error:
        notes.warn(f"`{' '.join(command)}` did not start: {error}")
        return None
    threading.Thread(target=child.wait, daemon=True).start()
    return child


def _keep(words):
    """Runs our own command likewise, until the keeper that is returned is told to end it, or this process is gone."""
    command, env = _command(words)
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", _KEEPER, json.dumps({"command": command})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        notes.warn(f"`{' '.join(command)}` did not start: {error}")
        return None
