"""
dask-jobqueue's clusters with tsdask-mpi behind them: `from tsdask_mpi.jobqueue import SLURMCluster`, and nothing else
changes.

The scheduler runs here, with TLS; `scale` and `adapt` submit jobs of `processes` workers each. Arguments are
dask-jobqueue's, and so is the site's `jobqueue.yaml`. What an argument cannot mean here is an error that says what to
use.
"""

from __future__ import annotations

import os
import re
from typing import Any

from tsdask_mpi import kept, spmd
from tsdask_mpi.adapting import Adapting
from tsdask_mpi.cluster import Cluster
from tsdask_mpi.jobqueue_arguments import adapt_bounds, from_yaml, runner_arguments, translated
from tsdask_mpi.kept import Source

__all__ = ["HTCondorCluster", "LSFCluster", "PBSCluster", "SGECluster", "SLURMCluster", "SLURMRunner"]


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
    trust_shared_folder : bool
        Whether the group that may write in that folder is trusted; else no cluster is started there.
    """

    system = ""
    _begins_empty = True

    def __init__(
        self,
        n_workers: int = 0,
        *,
        asynchronous: bool = False,
        loop: Any = None,
        config_name: str | None = None,
        **given: Any,
    ) -> None:
        settings = {**from_yaml(config_name or self.system), **{k: v for k, v in given.items() if v is not None}}
        shared = settings.pop("shared_temp_directory", None) or os.getcwd()
        trust = settings.pop("trust_shared_folder", None)
        name = settings.pop("name", None)
        # Jobs are found by their name, as `squeue` shows it.
        settings.setdefault("job_name", name)
        launch, self._processes, job = translated(self.system, type(self).__name__, settings)
        # The scheduler's launch wants one worker at least: it goes when the cluster is up.
        source = kept.here(2, {"nthreads": 1, "trust_shared_folder": trust, **launch}, 300.0, shared)
        self._first = n_workers
        super().__init__(_source=source, scale_options=job, asynchronous=asynchronous, loop=loop, name=name)

    async def _begin(self) -> None:
        await super()._begin()
        if self._first:
            await self._scale(self._first)

    def scale(self, n: int | None = None, jobs: int = 0, memory: Any = None, cores: int | None = None) -> Any:
        """Ask for so many workers in all.

        Parameters
        ----------
        n : int, optional
            Workers.
        jobs, cores, memory : optional
            Instead of `n`: as many as so many jobs make, or as have so many cores or so much memory ("64GB") together.
        """
        return super().scale(self._count(n, jobs, memory, cores))

    def _count(self, n: int | None, jobs: int, memory: Any, cores: int | None) -> int:
        from dask.utils import parse_bytes

        threads, whole = int(self._scale_options["threads"]), self._scale_options.get("memory")
        if memory is not None and whole:
            jobs = max(jobs, -(-parse_bytes(memory) // parse_bytes(str(whole))))
        if cores is not None:
            jobs = max(jobs, -(-cores // (threads * self._processes)))
        return int(n) if n is not None else jobs * self._processes

    def adapt(self, minimum: int = 0, maximum: int | None = None, **options: Any) -> Adapting:
        """Follow the work by jobs, until `stop()` of what it returns, or the end.

        Parameters
        ----------
        minimum, maximum : int
            Workers.
        **options
            Instead of them `minimum_jobs` and `maximum_jobs`, `minimum_cores` and the like, or `minimum_memory`; and
            `interval`, `wait_count` and `target_duration`, as Dask's Adaptive has them.

        Returns
        -------
        Adapting
            What ends it by `stop()`.
        """
        threads, memory = int(self._scale_options["threads"]), self._scale_options.get("memory")
        rest, least, most = adapt_bounds(options, self._processes, threads, memory)
        return super().adapt(minimum if least is None else least, maximum if most is None else most, **rest)

    def job_script(self) -> str:
        """Return the script of a job, as it is submitted."""
        options = {name: value for name, value in self._job_options().items() if name != "batch"}
        # The script's own options, and those of the workers' launch in it.
        trust = kept.words({"trust_shared_folder": options.pop("trust_shared_folder", None)})
        return kept.run("script", self.system, "--join", self._file, *kept.words(options), "--", *trust)


class SLURMCluster(JobQueueCluster):
    """dask-jobqueue's SLURMCluster.

    Examples
    --------
    >>> with SLURMCluster(cores=2, memory="2GB", processes=2, walltime="00:10:00") as cluster:  # doctest: +SKIP
    ...     cluster.scale(jobs=1)
    ...     cluster.wait_for_workers(2)
    ...     cluster.get_client().submit(sum, range(10)).result()
    45
    """

    system = "slurm"


class PBSCluster(JobQueueCluster):
    """dask-jobqueue's PBSCluster.

    Examples
    --------
    >>> with PBSCluster(cores=4, processes=2, memory="8GB", walltime="01:00:00") as cluster:
    ...     script = cluster.job_script()
    >>> for line in script.splitlines():
    ...     if line.startswith("#PBS -l"):
    ...         print(line)
    #PBS -l select=1:ncpus=4:mpiprocs=2:ompthreads=2:mem=7630mb
    #PBS -l walltime=01:00:00
    """

    system = "pbs"


class SGECluster(JobQueueCluster):
    """dask-jobqueue's SGECluster.

    Examples
    --------
    >>> with SGECluster(cores=4, processes=2, memory="8GB", walltime="01:00:00") as cluster:
    ...     script = cluster.job_script()
    >>> for line in script.splitlines():
    ...     if line.startswith("#$ -l"):
    ...         print(line)
    #$ -l h_vmem=1908M
    #$ -l h_rt=01:00:00
    """

    system = "sge"


class LSFCluster(JobQueueCluster):
    """dask-jobqueue's LSFCluster.

    Examples
    --------
    >>> with LSFCluster(cores=4, processes=2, memory="8GB", walltime="01:00:00") as cluster:
    ...     script = cluster.job_script()
    >>> for line in script.splitlines():
    ...     if line.startswith("#BSUB -R"):
    ...         print(line)
    #BSUB -R "span[ptile=2]"
    #BSUB -R "affinity[core(2)]"
    #BSUB -R "rusage[mem=7630MB]"
    """

    system = "lsf"


class HTCondorCluster(JobQueueCluster):
    """dask-jobqueue's HTCondorCluster.

    Examples
    --------
    >>> with HTCondorCluster(cores=4, processes=2, memory="8GB", walltime="01:00:00") as cluster:
    ...     script = cluster.job_script()
    >>> for line in script.splitlines():
    ...     if line.startswith("request_"):
    ...         print(line)
    request_cpus = 4
    request_memory = 7630MB
    """

    system = "htcondor"


class SLURMRunner(Cluster):
    """
    dask-jobqueue's SLURMRunner: in a script that `srun` starts on all ranks, the cluster of these ranks; the script
    goes on in one.

    Parameters
    ----------
    scheduler_file : str, optional
        Where to write how to reach the cluster; `{job_id}` in its name is filled in. Under `tsdask-mpi` the cluster is
        there already, and its own file counts.
    scheduler_options, worker_options, worker_class
        Of the scheduler and the workers.
    trust_shared_folder : bool
        Whether the group that may write in that file's folder is trusted.

    Examples
    --------
    >>> with SLURMRunner() as runner, runner.get_client() as client:  # doctest: +SKIP
    ...     client.wait_for_workers(runner.n_workers)
    """

    def __init__(
        self,
        *,
        scheduler_file: str | None = None,
        trust_shared_folder: bool = False,
        asynchronous: bool = False,
        loop: Any = None,
        **other: Any,
    ) -> None:
        arguments = runner_arguments(type(self).__name__, other)
        from tsdask_mpi import ranks

        if spmd.has_cluster():
            # The launcher's variables do not reach the script; a launch that joined another's cluster has no number.
            words = re.search(r"(?:^|,)workers=(\d+)(?:,|$)", os.environ.get("TSDASK_CLUSTERS", ""))
            self._planned = None if words is None else int(words[1])
        else:
            self._planned = ranks.find_world(None).size - 2
            if scheduler_file is not None:
                os.environ["TSDASK_SCHEDULER_FILE"] = str(scheduler_file)
        spmd.initialize(**arguments)
        source = Source(os.environ["TSDASK_SCHEDULER_FILE"], trust=trust_shared_folder)
        super().__init__(_source=source, scale_options={}, asynchronous=asynchronous, loop=loop)

    @property
    def n_workers(self) -> int:
        """Workers of the launch: all ranks but the scheduler's and the script's; else those that are in (int)."""
        # Dask refuses to wait for none.
        return max(len(self.workers), 1) if self._planned is None else self._planned
