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


class _Queue:
    """
    The process's calls of `tsdask-mpi scale`, one after the other: each goes by what the one before it has submitted. A
    number that waits is replaced by the next.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._next = None
        self._idle = threading.Event()
        self._idle.set()

    def put(self, words):
        with self._lock:
            self._next = words
            if not self._idle.is_set():
                return
            self._idle.clear()
        threading.Thread(target=self._work, daemon=True).start()

    def settle(self):
        """Forgets what waits, and waits until what runs is over."""
        with self._lock:
            self._next = None
        self._idle.wait(_SUBMITTED)

    def _work(self):
        while True:
            with self._lock:
                words, self._next = self._next, None
                if words is None:
                    self._idle.set()
                    return
            child = _run(words)
            if child is not None:
                child.wait()


_queue = _Queue()
#: What the last adapt() of this process returned, whichever handle was asked.
_adapting = None


def _begin_anew():
    # The threads of the parent, and what it keeps, are not the forked process's.
    global _queue, _adapting
    _queue, _adapting = _Queue(), None


os.register_at_fork(after_in_child=_begin_anew)


def _stop_adapting():
    global _adapting
    stopped, _adapting = _adapting, None
    if stopped is not None:
        stopped.stop()


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
    _stop_adapting()
    _start(["scale", str(min(wanted, limit()))])


#: Words of adapt() that bound nothing, and that `tsdask-mpi adapt` has no option for.
_PACE = ("interval", "wait_count", "target_duration", "worker_key")


def adapt(cluster, words):
    """
    Adapts between the largest `minimum…` and the smallest `maximum…` of the words (workers, jobs, cores, or memory), as
    distributed and dask-jobqueue have them.
    """
    if not limit():
        present = notes.planned_workers() or len(cluster.scheduler_info["workers"])
        notes.note(
            f"adapt(): this launch is as large as it is, {notes.count(present, 'worker')}; --script-scale lets a script ask for more."
        )
        return Adapting(None)
    if unused := [name for name in _PACE if words.get(name) is not None]:
        notes.note(f"adapt({', '.join(unused)}): tsdask-mpi adapt has its own pace.")
    most = min([*_bounds(cluster, words, "maximum", math.floor), limit()])
    least = max([*_bounds(cluster, words, "minimum", math.ceil), 0])
    return adapting(min(least, most), max(most, 1))


def adapting(minimum, maximum):
    """`tsdask-mpi adapt` between these numbers of workers, until it is stopped; it takes the place of the last one."""
    global _adapting
    _stop_adapting()
    _queue.settle()
    _adapting = Adapting(_keep(["adapt", "--min", str(minimum), "--max", str(maximum)]), minimum, maximum)
    return _adapting


def _bounds(cluster, words, which, rounded):
    """The numbers of workers that the words of adapt() allow or ask for; `rounded` makes whole ones of shares."""
    sizes = (
        (words.get(which), lambda n: math.ceil(n)),
        (words.get(f"{which}_jobs"), lambda n: math.ceil(n) * _workers_per_job(cluster)),
        (words.get(f"{which}_cores"), lambda n: rounded(n / _threads(cluster))),
        (_bytes(words.get(f"{which}_memory")), lambda n: rounded(n / each) if (each := _memory(cluster)) else None),
    )
    numbers_of = (count(n) for n, count in sizes if isinstance(n, numbers.Real) and math.isfinite(n))
    return [n for n in numbers_of if n is not None]


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
    if cores is not None:
        return -(-int(cores) // _threads(cluster))
    if memory is not None:
        each = _memory(cluster)
        return -(-_bytes(memory) // each) if each else len(cluster.scheduler_info["workers"])
    return int(jobs or 0) * _workers_per_job(cluster)


def _workers_per_job(cluster):
    """dask-jobqueue's `processes`."""
    _, words = getattr(cluster, "_asked", ("", {"processes": 1}))
    asked = words.get("processes")
    return asked if isinstance(asked, int) and asked > 0 else 1


def _threads(cluster):
    return max([worker["nthreads"] for worker in cluster.scheduler_info["workers"].values()], default=1)


def _memory(cluster):
    """Bytes of a worker; 0 where they have no limit, or none is in."""
    return max([worker.get("memory_limit") or 0 for worker in cluster.scheduler_info["workers"].values()], default=0)


def _bytes(text):
    if text is None:
        return None
    from dask.utils import parse_bytes

    return parse_bytes(text)


def scale_now(n):
    """
    Asks for `n` workers in all, for a person who has clicked, and waits until their jobs are submitted; returns what
    the command said. RuntimeError, with its words, when that fails.
    """
    refuse_more_than_allowed(n)
    _queue.settle()
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
    _queue.put(words)


def _run(words):
    """Runs our own command beside the script, out of reach of what interrupts a notebook's cell."""
    command, env = _command(words)
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env, start_new_session=True
        )
    except OSError as error:
        notes.warn(f"`{' '.join(command)}` did not start: {error}")
        return None


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
