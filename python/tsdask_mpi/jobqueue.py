"""dask-jobqueue's clusters with tsdask-mpi behind them: `from tsdask_mpi.jobqueue import SLURMCluster`, and nothing else changes.

The scheduler runs here, with TLS; `scale` and `adapt` submit jobs of `processes` workers each. Arguments are dask-jobqueue's, and so is the
site's `jobqueue.yaml`. What an argument cannot mean here is an error that says what to use.
"""

from __future__ import annotations

import os
from typing import Any

import dask.config

from tsdask_mpi import kept
from tsdask_mpi.cluster import Adapting, Cluster
from tsdask_mpi.kept import Source

__all__ = ["HTCondorCluster", "LSFCluster", "PBSCluster", "SGECluster", "SLURMCluster", "SLURMRunner"]

_NATIVE = "write directives of the batch system in job_extra_directives=, and shell lines in job_script_prologue="
#: Arguments that have no meaning here, and what to use.
_REFUSED = {
    "header_skip": _NATIVE,
    "job_directives_skip": _NATIVE,
    "shebang": "the job script is tsdask-mpi's own; " + _NATIVE,
    "resource_spec": "say cores= and memory=, or " + _NATIVE,
    "job_cpu": "say cores=",
    "ncpus": "say cores=",
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
#: What scheduler_options may say, and the option of tsdask-mpi that means it.
_SCHEDULER = {
    "dashboard_address": "dashboard_address",
    "host": "host",
    "interface": "interface",
    "port": "scheduler_port",
    "dashboard": "dashboard",
    "idle_timeout": "idle_timeout",
}
#: Options of `dask worker` in worker_extra_args that tsdask-mpi has under the same name.
_WORKER = ("lifetime", "lifetime-stagger", "resources", "memory-limit", "death-timeout", "local-directory", "preload")
#: How the batch system writes the job's number into the name of its output.
_OUTPUT = {"slurm": "dask-%j.out", "lsf": "dask-%J.out", "pbs": "", "sge": "", "htcondor": ""}
#: Of jobqueue.yaml: what every site has there, and means nothing here.
_OF_YAML = ("shebang", "worker-command", "use-stdin", "lsf-units", "job-directives-skip", "header-skip", "disk")


class JobQueueCluster(Cluster):
    """What the clusters of all batch systems share; see dask-jobqueue's documentation for the arguments.

    Parameters
    ----------
    n_workers : int
        Workers to ask for at once; `scale` and `adapt` ask for them later.
    cores, memory, processes
        Cores and memory of a job, and the workers among which they are shared.
    queue, account, walltime, job_name, job_extra_directives, job_script_prologue, log_directory
        Of the job.
    interface, local_directory, death_timeout, python, worker_extra_args
        Of the workers.
    shared_temp_directory : str
        A folder that the jobs see, for the cluster's private folder; the working directory by default.
    """

    system = ""

    def __init__(
        self,
        n_workers: int = 0,
        *,
        asynchronous: bool = False,
        loop: Any = None,
        config_name: str | None = None,
        **given: Any,
    ) -> None:
        settings = {**_from_yaml(config_name or self.system), **{k: v for k, v in given.items() if v is not None}}
        shared = settings.pop("shared_temp_directory", None) or os.getcwd()
        name = settings.pop("name", None)
        launch, self._processes, job = translated(self.system, type(self).__name__, settings)
        # The scheduler's launch wants one worker of its own: it goes when the cluster is up.
        source = kept.here(2, {"nthreads": 1, **launch}, 300.0, shared)
        self._first = n_workers
        super().__init__(_source=source, scale_options=job, asynchronous=asynchronous, loop=loop, name=name)

    async def _start(self) -> None:
        await super()._start()
        await self._wait_for_workers(1, 60)
        own = list(self._latest["workers"])
        await self.scheduler_comm.retire_workers(workers=own, close_workers=True, remove=True)
        await self._refresh()
        if self._first:
            await self._scale(self._first)

    def scale(self, n: int | None = None, jobs: int = 0, memory: Any = None, cores: int | None = None) -> Any:
        """Ask for `n` workers in all, or for as many as `jobs` of them make, or `cores`, or `memory`."""
        return super().scale(self._count(n, jobs, memory, cores))

    def _count(self, n: int | None, jobs: int, memory: Any, cores: int | None) -> int:
        from dask.utils import parse_bytes

        threads, whole = int(self._scale_options["threads"]), self._scale_options.get("memory")
        if memory is not None and whole:
            jobs = max(jobs, -(-parse_bytes(memory) // parse_bytes(str(whole))))
        if cores is not None:
            jobs = max(jobs, -(-cores // (threads * self._processes)))
        return int(n) if n is not None else jobs * self._processes

    def adapt(
        self,
        minimum: int = 0,
        maximum: int | None = None,
        minimum_jobs: int | None = None,
        maximum_jobs: int | None = None,
        **options: Any,
    ) -> Adapting:
        """Follow the work between so many workers, or jobs."""
        least = minimum if minimum_jobs is None else minimum_jobs * self._processes
        most = maximum if maximum_jobs is None else maximum_jobs * self._processes
        return super().adapt(least, most, **options)

    def job_script(self) -> str:
        """Return the script of a job, as it is submitted."""
        options = {name: value for name, value in self._scale_options.items() if name != "batch"}
        return kept.run("script", self.system, "--join", self._file, *kept.words(options))


class SLURMCluster(JobQueueCluster):
    """dask-jobqueue's SLURMCluster.

    Examples
    --------
    >>> cluster = SLURMCluster(cores=8, memory="16GB", processes=4, walltime="01:00:00")  # doctest: +SKIP
    >>> cluster.scale(jobs=2)  # doctest: +SKIP
    """

    system = "slurm"


class PBSCluster(JobQueueCluster):
    """dask-jobqueue's PBSCluster."""

    system = "pbs"


class SGECluster(JobQueueCluster):
    """dask-jobqueue's SGECluster."""

    system = "sge"


class LSFCluster(JobQueueCluster):
    """dask-jobqueue's LSFCluster."""

    system = "lsf"


class HTCondorCluster(JobQueueCluster):
    """dask-jobqueue's HTCondorCluster."""

    system = "htcondor"


class SLURMRunner(Cluster):
    """dask-jobqueue's SLURMRunner: in a script that `srun` starts on all ranks, the cluster of these ranks; the script goes on in one."""

    def __init__(
        self, *, scheduler_file: str | None = None, asynchronous: bool = False, loop: Any = None, **other: Any
    ) -> None:
        if other:
            raise _refused(
                "SLURMRunner", next(iter(other)), "say it as an option of tsdask-mpi, by its TSDASK_ variable"
            )
        from tsdask_mpi.spmd import initialize

        initialize()
        source = Source(scheduler_file or os.environ["TSDASK_SCHEDULER_FILE"])
        super().__init__(_source=source, scale_options={}, asynchronous=asynchronous, loop=loop)


def translated(system: str, who: str, given: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """Return the launch's options, the workers of a job, and the options of `tsdask-mpi scale`; pure.

    ValueError (TSD-169) names an argument that cannot mean anything here, and says what to use.
    """
    rest = dict(given)
    for name, cure in _REFUSED.items():
        if rest.pop(name, None) is not None:
            raise _refused(who, name, cure)
    cores, memory = rest.pop("cores", None), rest.pop("memory", None)
    memory = rest.pop("job_mem", None) or rest.pop("mem", None) or memory
    if cores is None or memory is None:
        raise ValueError(f"TSD-169 {who} needs cores= and memory= of a job: {who}(cores=8, memory='16GB').")
    processes = int(rest.pop("processes", None) or max(1, int(int(cores) ** 0.5)))
    job: dict[str, Any] = {
        "batch": system,
        "ranks_per_node": processes,
        "threads": max(1, int(cores) // processes),
        "memory": memory,
        "time": rest.pop("walltime", None),
        "queue": rest.pop("queue", None),
        "account": rest.pop("account", None) or rest.pop("project", None),
        "name": rest.pop("job_name", None),
        "directive": list(rest.pop("job_extra_directives", None) or rest.pop("job_extra", None) or []),
        "setup": list(rest.pop("job_script_prologue", None) or rest.pop("env_extra", None) or []),
    }
    logs = rest.pop("log_directory", None)
    if logs is not None:
        os.makedirs(logs, exist_ok=True)
        job["output"] = os.path.join(os.path.abspath(logs), _OUTPUT[system])
    variables = _worker_variables(who, rest)
    launch = _launch(who, rest)
    for name in ("extra", "nanny", "silence_logs", "project", "job_extra", "env_extra"):
        rest.pop(name, None)
    if rest:
        raise _refused(who, next(iter(rest)), "see `tsdask-mpi scale --help` for what a job can have")
    job["env"] = [f"{name}={value}" for name, value in variables.items()]
    return launch, processes, {name: value for name, value in job.items() if value not in (None, [])}


def _worker_variables(who: str, rest: dict[str, Any]) -> dict[str, str]:
    """What the workers of a job are told, as variables of tsdask-mpi."""
    found: dict[str, str] = {}
    for name in ("interface", "local_directory", "death_timeout", "python"):
        value = rest.get(name) if name == "interface" else rest.pop(name, None)
        if value is not None:
            found[f"TSDASK_{name.upper()}"] = str(value)
    words = [str(word) for word in rest.pop("worker_extra_args", None) or rest.pop("extra", None) or []]
    pairs = [part for word in words for part in word.split("=", 1)]
    for flag, value in zip(pairs[::2], pairs[1::2] or [""], strict=False):
        if flag.removeprefix("--") not in _WORKER:
            raise _refused(who, f"worker_extra_args={flag}", f"of these tsdask-mpi knows {', '.join(_WORKER)}")
        found["TSDASK_" + flag.removeprefix("--").replace("-", "_").upper()] = value
    return found


def _launch(who: str, rest: dict[str, Any]) -> dict[str, Any]:
    """What the scheduler here is told."""
    launch = {name: rest.pop(name) for name in ("interface", "host") if rest.get(name) is not None}
    for name, value in (rest.pop("scheduler_options", None) or {}).items():
        if name not in _SCHEDULER:
            raise _refused(who, f"scheduler_options[{name!r}]", f"of these tsdask-mpi knows {', '.join(_SCHEDULER)}")
        launch[_SCHEDULER[name]] = value
    protocol = (rest.pop("protocol", None) or "").rstrip(":/")
    if protocol not in ("", "tls"):
        launch |= {"protocol": protocol, "security": "none"}
    rest.pop("interface", None)
    return launch


def _from_yaml(name: str) -> dict[str, Any]:
    """Return what the site's jobqueue.yaml says of this system, under the names of arguments."""
    section = dask.config.get(f"jobqueue.{name}", default={}) or {}
    kept_names = {
        key: value for key, value in section.items() if value not in (None, [], {}, "") and key not in _OF_YAML
    }
    found = {key.replace("-", "_"): value for key, value in kept_names.items()}
    if "name" in found:
        found["job_name"] = found.pop("name")
    return found


def _refused(who: str, name: str, cure: str) -> ValueError:
    return ValueError(f"TSD-169 {who}({name}=…) has no meaning here: {cure}.")
