"""What is said to the user, on stderr, each line once, and what the launch tells of itself."""

import os
import sys

_said: set[str] = set()
#: Whether the script has been told that its own workers are not the launch's.
said_own = False


def _settings():
    mode, *words = os.environ.get("TSDASK_CLUSTERS", "allow").split(",")
    return {"mode": mode, **dict(word.partition("=")[::2] for word in words)}


#: `mode` is adopt or warn; `workers` and `script-scale` are numbers; `connect` is a time as Dask's configuration has
#: it; `quiet` and `cuda` are there or not.
settings = _settings()


def note(text):
    if "quiet" not in settings:
        _say(text)


def warn(text):
    _say(f"warning: {text}")


def _say(text):
    if text in _said:
        return
    _said.add(text)
    try:
        print(f"tsdask-mpi: {text}", file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):  # stderr is closed or absent: the script goes on without the line
        return


def count(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def planned_workers():
    """How many workers this launch was started with; None where it joined another's cluster."""
    words = settings.get("workers", "")
    return int(words) if words.isdigit() else None


def _words(asked):
    return ", ".join(f"{name}={value!r}" for name, value in asked.items())


def differences(who, asked, info):
    """
    Says in one line what of `asked` (the words that LocalCluster takes) this launch has otherwise. `info` is the
    scheduler's identity, whose workers tell threads and memory (bytes), or None where only the plan is known.
    """
    workers = list((info or {}).get("workers", {}).values())
    planned = planned_workers()
    there = planned if planned is not None else (info or {}).get("n_workers", len(workers))
    threads = {worker["nthreads"] for worker in workers}
    limits = {worker.get("memory_limit") for worker in workers}
    other = {}
    wanted = asked.get("n_workers")
    if isinstance(wanted, int) and wanted > 0 and there and wanted != there:
        other["n_workers"] = wanted
    wanted = asked.get("threads_per_worker")
    if isinstance(wanted, int) and wanted > 0 and threads and threads != {wanted}:
        other["threads_per_worker"] = wanted
    if "memory_limit" in asked and limits and not _same_memory(asked["memory_limit"], limits):
        other["memory_limit"] = asked["memory_limit"]
    if asked.get("processes") is False:
        other["processes"] = False
    if not other:
        return
    each = ""
    if len(threads) == 1:
        each = f", each a process with {count(threads.pop(), 'thread')}"
        limit = limits.pop() if len(limits) == 1 else None
        if limit:
            from dask.utils import format_bytes

            each += f" and {format_bytes(limit)}"
    note(
        f"{who}({_words(other)}): the script gets this launch's {count(there, 'worker') if there else 'workers'}{each}."
    )


def _same_memory(wanted, limits):
    if wanted == "auto":
        return True
    if isinstance(wanted, float) and wanted <= 1:
        return False
    from dask.utils import parse_bytes

    try:
        size = parse_bytes(wanted) if wanted else 0
    except ValueError:
        return True
    return all(abs((limit or 0) - size) <= 0.01 * size for limit in limits)
