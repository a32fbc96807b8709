"""What is said to the user, on stderr, each line once, and what the launch tells of itself."""

import math
import os
import sys

_said: set[str] = set()
#: Whether the script has been told that its own workers are not the launch's.
said_own = False
#: Whether the script has ended the launch's cluster by client.shutdown().
shut_down = False


def _settings():
    mode, *words = os.environ.get("TSDASK_CLUSTERS", "allow").split(",")
    return {"mode": mode, **dict(word.partition("=")[::2] for word in words)}


#: `mode` is adopt or warn; `workers` and `script-scale` are numbers; `connect` is a time as Dask's configuration has
#: it; `resources` are the launch's, `GPU:1+MEM:1e9`, names URL-encoded; `preload`, `quiet`, `cuda` and `encrypted` (the
#: user's own environment has Dask require encryption) are there or not.
settings = _settings()


def note(text):
    if "quiet" not in settings:
        _say(text)


def warn(text):
    _say(f"warning: {text}")


def refuse_after_shutdown(who):
    """RuntimeError where there is no cluster any more: Dask would try for half a minute, and say nothing of why."""
    if shut_down:
        raise RuntimeError(
            f"{who}: client.shutdown() has ended this launch's cluster, and no other is started. client.close() instead,"
            " or `with Client(...) as client:`, leaves it running for the next."
        )


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


def differences(who, asked, info):
    """
    Says in one line what of `asked` (the words that LocalCluster and dask-jobqueue's classes take) this launch has
    otherwise, and warns of resources that it lacks. `info` is the scheduler's identity, whose workers tell threads and
    memory (bytes), or None where only the plan is known.
    """
    workers = list((info or {}).get("workers", {}).values())
    planned = planned_workers()
    there = planned if planned is not None else (info or {}).get("n_workers", len(workers))
    threads = {worker["nthreads"] for worker in workers}
    limits = {worker.get("memory_limit") for worker in workers}
    other = {
        **_sizes(asked, there, threads, limits),
        **_job_sizes(asked, threads, limits),
        **_surroundings(asked),
        **_options_of_workers(asked, threads, limits),
    }
    if other:
        each = ""
        if len(threads) == 1:
            each = f", each a process with {count(threads.pop(), 'thread')}"
            limit = limits.pop() if len(limits) == 1 else None
            if limit:
                from dask.utils import format_bytes

                each += f" and {format_bytes(limit)}"
        words = ", ".join(f"{name}={text}" for name, text in other.items())
        workers_here = count(there, "worker") if there else "workers"
        note(f"{who}({words}): the script gets this launch's {workers_here}{each}.")
    if workers or planned is not None:
        _warn_of_resources(who, asked, workers, all_in=len(workers) >= there)


#: The words of LocalCluster, dask-gateway and Coiled for a worker's threads.
_THREADS = ("threads_per_worker", "worker_cores", "worker_cpu")


def _sizes(asked, there, threads, limits):
    """What the words of these for number and size differ in: name → how it is written."""
    other = {}
    wanted = asked.get("n_workers")
    if isinstance(wanted, int) and wanted > 0 and there and wanted != there:
        other["n_workers"] = repr(wanted)
    for name in _THREADS:
        wanted = asked.get(name)
        if isinstance(wanted, int) and wanted > 0 and threads and threads != {wanted}:
            other[name] = repr(wanted)
    if "memory_limit" in asked and limits and not _same_memory(asked["memory_limit"], limits):
        other["memory_limit"] = repr(asked["memory_limit"])
    if asked.get("processes") is False:
        other["processes"] = "False"
    # A number is dask-gateway's, in GiB; a text is Coiled's.
    wanted = asked.get("worker_memory")
    size = wanted * 2**30 if isinstance(wanted, (int, float)) else wanted
    if isinstance(size, (int, float, str)) and size and limits and not _same_memory(size, limits):
        other["worker_memory"] = repr(wanted)
    return other


def _job_sizes(asked, threads, limits):
    """Likewise of dask-jobqueue's words: of a job's cores and memory each of its processes gets its part."""
    cores, processes, memory = asked.get("cores"), asked.get("processes"), asked.get("memory")
    if not isinstance(cores, int) or cores <= 0 or not isinstance(processes or 0, int):
        return {}
    # As dask-jobqueue divides where nothing is said.
    parts = processes or max(1, math.isqrt(cores))
    other = {}
    if threads and threads != {max(1, cores // parts)}:
        other["cores"] = repr(cores)
    if memory and limits and not _same_memory(memory, limits, parts):
        other["memory"] = repr(memory)
    return {**other, "processes": repr(processes)} if other and processes else other


#: Words for what is done where a worker starts; their values may be long, or hold what is nobody's business.
_PLACES = (
    "preload",
    "plugins",
    "worker_extra_args",
    "extra",
    "job_script_prologue",
    "env_extra",
    "worker_class",
    "lifetime",
    "local_directory",
)

#: Fractions of a worker's memory at which Dask acts; False turns that off.
_FRACTIONS = ("memory_target_fraction", "memory_spill_fraction", "memory_pause_fraction")


def _surroundings(asked):
    """What workers were to have around them, and have not: name → how it is written, without values."""
    other = {}
    env = asked.get("env")
    if isinstance(env, dict):
        lacking = [name for name, value in env.items() if os.environ.get(name) != str(value)]
        if lacking:
            other["env"] = f"{{{', '.join(f'{name!r}: ...' for name in lacking)}}}"
    for name in _PLACES:
        value = asked.get(name)
        if name == "preload" and name in settings:
            continue
        if name in ("worker_extra_args", "extra"):
            value = _resource_words(value)[1]
        if name == "local_directory" and value and str(value) == _temporary_directory():
            continue
        if value:
            other[name] = "..."
    other.update({name: repr(asked[name]) for name in _FRACTIONS if asked.get(name) is not None})
    return other


def _temporary_directory():
    import dask.config

    return str(dask.config.get("temporary-directory", None))


def _worker_options(asked):
    options = asked.get("worker_options")
    return options if isinstance(options, dict) else {}


def _options_of_workers(asked, threads, limits):
    """Whether what SSHCluster and the runners would give each worker differs from what it has, resources aside."""
    options = _worker_options(asked)
    sizes = {"threads_per_worker": options.get("nthreads"), "memory_limit": options.get("memory_limit", "auto")}
    rest = set(options) - {"nthreads", "memory_limit", "resources", "name"}
    return {"worker_options": "..."} if rest or _sizes(sizes, None, threads, limits) else {}


def _resource_words(words):
    """`--resources` among `dask worker`'s words, as `{"GPU": 1.0}`, and what else there is."""
    import shlex

    try:
        left = shlex.split(words if isinstance(words, str) else " ".join(map(str, words or ())))
    except (TypeError, ValueError):
        return {}, words
    found, rest = {}, []
    while left:
        word, equals, value = left.pop(0).partition("=")
        if word != "--resources":
            rest.append(word + equals + value)
            continue
        for part in (value if equals else left.pop(0) if left else "").replace(",", " ").split():
            name, _, amount = part.partition("=")
            try:
                found[name] = float(amount)
            except ValueError:
                continue
    return found, rest


def _amounts(resources):
    """Those that are worker's resources: Kubernetes' classes have another meaning for the word."""
    amounts = resources.items() if isinstance(resources, dict) else ()
    return {str(name): amount for name, amount in amounts if isinstance(amount, (int, float))}


def _warn_of_resources(who, asked, workers, all_in):
    wanted = {**_amounts(_worker_options(asked).get("resources")), **_amounts(asked.get("resources"))}
    for name in ("worker_extra_args", "extra"):
        wanted.update(_resource_words(asked.get(name))[0])
    wanted = {name: amount for name, amount in wanted.items() if amount > 0}
    if not wanted:
        return
    from urllib.parse import unquote

    import dask.config

    planned = (word.partition(":") for word in settings.get("resources", "").split("+") if word)
    known = [
        {unquote(name): float(amount) for name, _, amount in planned},
        _amounts(dask.config.get("distributed.worker.resources", {})),
        *(_amounts(worker.get("resources")) for worker in workers),
    ]
    lacking = [
        f"{name}={amount:g}"
        for name, amount in wanted.items()
        if all(resources.get(name, 0) < amount for resources in known)
    ]
    if lacking:
        text = " ".join(lacking)
        shown = f'"{text}"' if len(lacking) > 1 else text
        warn(
            f"{who} asks for workers with {text}, and this launch has none{'' if all_in else ' so far'}: tasks that need it wait"
            f" until one comes. `--resources {shown}` gives it to this launch's workers, `--group` to some of them."
        )


def _same_memory(wanted, limits, parts=1):
    """Whether all limits (bytes) are what each of so many parts of `wanted` gets."""
    if wanted == "auto":
        return True
    if isinstance(wanted, float) and wanted <= 1:
        return False
    from dask.utils import parse_bytes

    try:
        size = parse_bytes(wanted) if wanted else 0
    except ValueError:
        return True
    return all(abs((limit or 0) - size / parts) <= 0.01 * size / parts for limit in limits)
