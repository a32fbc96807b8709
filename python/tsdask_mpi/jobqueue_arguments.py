"""dask-jobqueue's arguments in tsdask-mpi's words; pure, but for the site's `jobqueue.yaml`."""

from __future__ import annotations

import os
import re
import shlex
from typing import Any

import dask.config
from dask.utils import parse_bytes

_NATIVE = "write directives of the batch system in job_extra_directives=, and shell lines in job_script_prologue="
#: Arguments that have no meaning here, and what to use.
_REFUSED = {
    "lsf_units": "say memory=",
    "disk": _NATIVE,
    "use_stdin": "leave it out: the job is submitted as the system wants it",
    "submit_command_extra": _NATIVE,
    "cancel_command_extra": "leave it out: jobs are cancelled by `tsdask-mpi scale`",
    "worker_command": "say worker_class= in a configuration file of tsdask-mpi",
    "job_cls": "derive from the cluster's class, or use tsdask_mpi.Cluster.batch",
    "scheduler_cls": "leave it out: the scheduler is Dask's",
    "security": "leave it out: each cluster has certificates of its own",
    "scheduler": "leave it out",
    "dashboard_address": 'say scheduler_options={"dashboard_address": ":8787"}, as in dask-jobqueue',
}
#: Names that dask-jobqueue has had, and those of now.
_FORMER = {
    "project": "account",
    "job_extra": "job_extra_directives",
    "env_extra": "job_script_prologue",
    "extra": "worker_extra_args",
    "header_skip": "job_directives_skip",
    "ncpus": "job_cpu",
}
#: What scheduler_options may say, and the option of tsdask-mpi that means it.
_SCHEDULER = {
    "dashboard_address": "dashboard_address",
    "host": "host",
    "interface": "interface",
    "port": "scheduler_port",
    "dashboard": "dashboard",
    "idle_timeout": "idle_timeout",
}
#: Options of `dask worker` in worker_extra_args that tsdask-mpi has under the same name: with a value, and without.
_WORKER = (
    "lifetime",
    "lifetime-stagger",
    "resources",
    "memory-limit",
    "death-timeout",
    "local-directory",
    "preload",
    "preload-nanny",
    "interface",
    "nthreads",
    "worker-class",
    "worker-port",
    "listen-address",
    "contact-address",
)
_FLAGS = ("dashboard", "nanny", "lifetime-restart")
#: How the batch system writes the job's number into the name of its output.
_OUTPUT = {"slurm": "dask-%j.out", "lsf": "dask-%J.out", "pbs": "", "sge": "", "htcondor": ""}
#: Directives that job_directives_skip may name, as the batch systems write them, and the option that is then left out.
_SKIPPED = {
    "memory": ("--mem", "mem", "h_vmem", "rusage"),
    "time": ("-t", "--time", "-W", "walltime", "h_rt"),
    "queue": ("-p", "--partition", "-q"),
    "account": ("-A", "--account", "-P"),
    "name": ("-J", "--job-name", "-N"),
    "output": ("-o", "-e", "--output", "--error"),
}
#: Of jobqueue.yaml: what every site has there, and means nothing here.
_OF_YAML = ("worker-command", "use-stdin", "lsf-units", "disk")


def translated(system: str, who: str, given: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """Return the launch's options, the workers of a job, and the options of `tsdask-mpi scale`.

    ValueError (TSD-169) names an argument that cannot mean anything here, and says what to use.
    """
    rest = _todays(given)
    for name, cure in _REFUSED.items():
        if rest.pop(name, None) is not None:
            raise refused(who, name, cure)
    _resources(system, who, rest)
    cores, memory = rest.pop("cores", None), rest.pop("memory", None)
    whole = _binary(rest.pop("job_mem", None))
    whole = rest.pop("mem", None) or whole
    if cores is None or memory is None:
        raise ValueError(f"TSD-169 {who} needs cores= and memory= of a job: {who}(cores=8, memory='16GB').")
    processes = int(rest.pop("processes", None) or max(1, int(int(cores) ** 0.5)))
    threads = max(1, int(cores) // processes)
    asked = max(threads, -(-int(rest.pop("job_cpu", None) or 0) // processes))
    job: dict[str, Any] = {
        "batch": system,
        "ranks_per_node": processes,
        "threads": asked,
        "memory": whole or memory,
        "gpus": rest.pop("gpus", None),
        "time": _time(system, who, rest.pop("walltime", None)),
        "queue": rest.pop("queue", None),
        "account": rest.pop("account", None),
        "name": rest.pop("job_name", None),
        "directive": _directives(rest.pop("job_extra_directives", None) or []),
        "setup": [*_shebang(who, rest.pop("shebang", None)), *(rest.pop("job_script_prologue", None) or [])],
    }
    logs = rest.pop("log_directory", None)
    if logs is not None:
        folder = os.path.abspath(os.path.expanduser(logs))
        os.makedirs(folder, exist_ok=True)
        job["output"] = os.path.join(folder, _OUTPUT[system])
    skipped = _skip(who, job, rest.pop("job_directives_skip", None) or [])
    variables = _worker_variables(who, rest)
    if asked > threads:
        variables.setdefault("TSDASK_NTHREADS", str(threads))
    if whole is not None or "memory" in skipped:
        variables.setdefault("TSDASK_MEMORY_LIMIT", str(parse_bytes(str(memory)) // processes))
    launch = _launch(who, rest)
    rest.pop("silence_logs", None)
    if rest:
        raise refused(who, next(iter(rest)), "see `tsdask-mpi scale --help` for what a job can have")
    job["env"] = [f"{name}={value}" for name, value in variables.items()]
    return launch, processes, {name: value for name, value in job.items() if value not in (None, [])}


def from_yaml(name: str) -> dict[str, Any]:
    """Return what the site's jobqueue.yaml says of this system, under the names of arguments."""
    section = dask.config.get(f"jobqueue.{name}", default={}) or {}
    kept_names = {
        key: value for key, value in section.items() if value not in (None, [], {}, "") and key not in _OF_YAML
    }
    found = {key.replace("-", "_"): value for key, value in kept_names.items()}
    if "name" in found:
        found["job_name"] = found.pop("name")
    # dask-jobqueue's own yaml has it for HTCondor's submit file, which is no script.
    if str(found.get("shebang", "")).endswith("condor_submit"):
        del found["shebang"]
    return found


def runner_arguments(who: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return what a runner's `scheduler_options` and `worker_options` mean as arguments of `initialize`."""
    rest = dict(given)
    found: dict[str, Any] = {}
    for name, value in (rest.pop("scheduler_options", None) or {}).items():
        if name not in ("interface", "dashboard", "dashboard_address", "protocol"):
            raise refused(who, f"scheduler_options[{name!r}]", _VARIABLE)
        found[name] = value
    own = ("interface", "nthreads", "local_directory", "memory_limit", "protocol")
    options = {name: value for name, value in (rest.pop("worker_options", None) or {}).items() if value is not None}
    found |= {name: options.pop(name) for name in own if name in options}
    if options:
        found["worker_options"] = options
    if rest.get("worker_class") is not None:
        found["worker_class"] = rest["worker_class"]
    rest.pop("worker_class", None)
    for name, usual in (("scheduler", True), ("client", True)):
        if rest.pop(name, usual) is not usual:
            raise refused(who, name, "start `srun tsdask-mpi` with its options of roles (`tsdask-mpi --help roles`)")
    if rest:
        raise refused(who, next(iter(rest)), _VARIABLE)
    return found


_VARIABLE = "say it as an option of tsdask-mpi, by its TSDASK_ variable"


def refused(who: str, name: str, cure: str) -> ValueError:
    """Return the error for an argument that cannot mean anything here."""
    return ValueError(f"TSD-169 {who}({name}=…) has no meaning here: {cure}.")


def adapt_bounds(
    options: dict[str, Any], per_job: int, threads: int, memory: Any
) -> tuple[dict[str, Any], int | None, int | None]:
    """Return the options that are left, and what `minimum_jobs`, `maximum_cores` and their like say in workers."""
    rest = dict(options)
    found: list[int | None] = []
    for bound in ("minimum", "maximum"):
        workers = []
        if (jobs := rest.pop(f"{bound}_jobs", None)) is not None:
            workers.append(int(jobs) * per_job)
        if (cores := rest.pop(f"{bound}_cores", None)) is not None:
            workers.append(int(cores) // threads)
        if (size := rest.pop(f"{bound}_memory", None)) is not None:
            workers.append(parse_bytes(str(size)) * per_job // parse_bytes(str(memory)))
        found.append(None if not workers else max(workers) if bound == "minimum" else min(workers))
    return rest, found[0], found[1]


def _todays(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments under their names of today; a list under both names is both."""
    rest = {name: value for name, value in given.items() if value is not None}
    for former, now in _FORMER.items():
        value = rest.pop(former, None)
        if value is not None:
            rest.setdefault(now, value)
    return rest


def _resources(system: str, who: str, rest: dict[str, Any]) -> None:
    """`resource_spec`: of Grid Engine a directive, of PBS one chunk."""
    spec = rest.pop("resource_spec", None)
    if spec is None:
        return
    if system == "sge":
        rest["job_extra_directives"] = [*(rest.get("job_extra_directives") or []), f"-l {spec}"]
        return
    names = {"ncpus": "job_cpu", "mem": "mem", "ngpus": "gpus"}
    first, *parts = str(spec).split(":")
    for part in parts:
        name, _, value = part.partition("=")
        if name in names:
            rest.setdefault(names[name], _binary(value) if name == "mem" else value)
        elif name not in ("mpiprocs", "ompthreads"):
            raise refused(who, "resource_spec", f"of {name!r} it knows nothing; {_NATIVE}")
    if first not in ("select=1", "1"):
        raise refused(who, "resource_spec", "a job is one chunk, `select=1:ncpus=…:mem=…`; ask for more jobs")


def _binary(memory: Any) -> str | None:
    """Memory as batch systems write it: in mebibytes, or with K, M, G or T for the binary units, whatever follows."""
    if memory is None:
        return None
    match = re.fullmatch(r"(\d+)\s*(?:([KMGT])(?:i?B)?)?", str(memory).strip(), re.IGNORECASE)
    return str(memory) if match is None else f"{match[1]}{(match[2] or 'M').upper()}iB"


def _time(system: str, who: str, walltime: Any) -> str | None:
    """A job's longest time in seconds, which each batch system writes in its own way."""
    if walltime is None:
        return None
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", str(walltime).strip())
    if match is None:
        return str(walltime)
    days, *found = match.groups()
    numbers = [int(number) for number in found if number is not None]
    if days is not None or len(numbers) == 3 or (system == "lsf" and len(numbers) == 2):
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 2:
        hours, (minutes, seconds) = 0, numbers
    else:
        # Slurm and LSF count in minutes, the others in seconds.
        hours, minutes, seconds = 0, *((numbers[0], 0) if system in ("slurm", "lsf") else (0, numbers[0]))
    return f"{((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds}s"


def _shebang(who: str, line: str | None) -> list[str]:
    """Lines for the start of the job's script, which is bash's: a login shell's profile, where that was asked for."""
    if line is None:
        return []
    words = line.removeprefix("#!").split()
    shell, *flags = words[1:] if words and words[0].endswith("/env") else words or [""]
    if os.path.basename(shell) not in ("sh", "bash") or not set(flags) <= {"-l", "--login"}:
        raise refused(who, "shebang", "the job's script is bash's; " + _NATIVE)
    return ["source /etc/profile"] if flags else []


def _directives(given: Any) -> list[str]:
    """Return the lines of directives; dask-jobqueue has those of HTCondor in a table."""
    return [f"{name} = {value}" for name, value in given.items()] if isinstance(given, dict) else list(given)


def _skip(who: str, job: dict[str, Any], texts: list[str]) -> set[str]:
    """Leave out what `job_directives_skip` names; returns which options those were."""
    found = set()
    for text in texts:
        names = [name for name, written in _SKIPPED.items() if text.strip().rstrip("= ") in written]
        if not names:
            raise refused(who, f"job_directives_skip={text!r}", "of these it knows --mem, -t, -p, -A and -J")
        found.update(names)
        for name in names:
            job.pop(name, None)
    return found


def _worker_variables(who: str, rest: dict[str, Any]) -> dict[str, str]:
    """What the workers of a job are told, as variables of tsdask-mpi."""
    found: dict[str, str] = {}
    for name in ("interface", "local_directory", "death_timeout", "python", "nanny"):
        value = rest.get(name) if name == "interface" else rest.pop(name, None)
        if value is not None:
            found[f"TSDASK_{name.upper()}"] = str(value).lower() if isinstance(value, bool) else str(value)
    # They are the end of a shell's line: `["--resources GPU=1"]` is two words.
    words = shlex.split(" ".join(str(word) for word in rest.pop("worker_extra_args", None) or []))
    while words:
        flag, equals, value = words.pop(0).partition("=")
        name = flag.removeprefix("--")
        if flag.startswith("--") and name.removeprefix("no-") in _FLAGS:
            name, value = name.removeprefix("no-"), "false" if name.startswith("no-") else "true"
        elif not flag.startswith("--") or name not in _WORKER:
            raise refused(who, f"worker_extra_args={flag}", f"of these tsdask-mpi knows {', '.join(_WORKER + _FLAGS)}")
        elif not equals:
            value = words.pop(0) if words else ""
        variable = "TSDASK_" + name.replace("-", "_").upper()
        found[variable] = f"{found[variable]},{value}" if name == "preload" and variable in found else value
    return found


def _launch(who: str, rest: dict[str, Any]) -> dict[str, Any]:
    """What the scheduler here is told."""
    launch = {name: rest.pop(name) for name in ("interface", "host") if rest.get(name) is not None}
    for name, value in (rest.pop("scheduler_options", None) or {}).items():
        if name not in _SCHEDULER:
            raise refused(who, f"scheduler_options[{name!r}]", f"of these tsdask-mpi knows {', '.join(_SCHEDULER)}")
        launch[_SCHEDULER[name]] = value
    protocol = (rest.pop("protocol", None) or "").rstrip(":/")
    if protocol not in ("", "tls"):
        launch |= {"protocol": protocol, "security": "none"}
    rest.pop("interface", None)
    return launch
