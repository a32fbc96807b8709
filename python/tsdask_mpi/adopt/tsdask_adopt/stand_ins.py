"""
The names of packages that make clusters: in place of the package where it is not installed, else over those that the
package has.
"""

import sys
import types

from . import jobqueue_defaults, kubernetes_names, notes


class Loader:
    """Loads a stand-in for a package that is not installed."""

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        module.__path__ = []
        module.__version__ = "0+tsdask"
        fill(module, module.__name__)

        def __getattr__(name):
            raise AttributeError(
                f"module {module.__name__!r} has no attribute {name!r}: the package is not installed, and tsdask-mpi stands in for its clusters only"
            )

        vars(module)["__getattr__"] = __getattr__


def fill(module, name):
    """
    Puts the cluster-making names of the package `name` into `module`, and into those of its submodules that have them.
    """
    for submodule, names in _NAMES[name]().items():
        if submodule == "":
            vars(module).update(names)
            continue
        full = f"{name}.{submodule}"
        if full not in sys.modules:
            sys.modules[full] = types.ModuleType(full)
            sys.modules[full].__path__ = []
        vars(sys.modules[full]).update(names)
        # dask_mpi.execute is both a module and a function: the function is what the package shows.
        parent, _, last = full.rpartition(".")
        sys.modules[parent].__dict__.setdefault(last, sys.modules[full])


def _cluster_class(name, module):
    from distributed.deploy.spec import SpecCluster

    def __init__(self, *_, **words):
        SpecCluster.__init__(self, **words)

    return type(
        name,
        (SpecCluster,),
        {"__init__": __init__, "__module__": module, "__doc__": "A handle on the cluster of this launch."},
    )


def _jobqueue():
    jobqueue_defaults.add()
    systems = ("HTCondor", "LSF", "Moab", "OAR", "PBS", "SGE", "SLURM")
    clusters = {f"{system}Cluster": _cluster_class(f"{system}Cluster", "dask_jobqueue") for system in systems}
    core = {"JobQueueCluster": _cluster_class("JobQueueCluster", "dask_jobqueue"), "Job": _job_class("Job")}
    runner = {"BaseRunner": _cluster_class("BaseRunner", "dask_jobqueue")}
    slurm_runner = {"SLURMRunner": _cluster_class("SLURMRunner", "dask_jobqueue")}
    modules = {
        system.lower(): {
            f"{system}Cluster": clusters[f"{system}Cluster"],
            f"{system}Job": _job_class(f"{system}Job", core["Job"]),
        }
        for system in systems
    }
    modules["local"] = {"LocalCluster": _local(), "LocalJob": _job_class("LocalJob", core["Job"])}
    modules["slurm"].update(slurm_runner)
    return {
        "": {
            **clusters,
            "JobQueueCluster": core["JobQueueCluster"],
            **runner,
            **slurm_runner,
            "LocalCluster": _local(),
        },
        "core": core,
        "runner": runner,
        **modules,
    }


def _job_class(name, base=object):
    """What a script derives its own jobs from: no job is submitted, so there is nothing in it."""
    doc: dict[str, object] = {
        "__module__": "dask_jobqueue",
        "__doc__": "A job of dask-jobqueue's, of which none is submitted here.",
    }
    if base is object:
        doc["__init__"] = lambda self, *_, **__: None
    return type(name, (base,), doc)


def _local():
    from distributed.deploy.local import LocalCluster

    return LocalCluster


def _dask_mpi():
    class WorldTooSmallException(RuntimeError):
        """Not raised: tsdask-mpi itself says when there are too few ranks."""

    def initialize(*args, **words):
        """
        dask_mpi.initialize: this process is the client, and Client() is connected. Its words are those of the launch's
        own command line.
        """
        _say_words("initialize", words)
        return True

    def execute(client_function=None, client_args=(), client_kwargs=None, *args, **words):
        """dask_mpi.execute: calls `client_function` here, which is the client's rank."""
        _say_words("execute", words)
        if callable(client_function):
            client_function(*client_args, **(client_kwargs or {}))

    def send_close_signal():
        """dask_mpi.send_close_signal: the cluster ends with the script."""

    names = {
        "initialize": initialize,
        "execute": execute,
        "send_close_signal": send_close_signal,
        "WorldTooSmallException": WorldTooSmallException,
    }
    pick = lambda *wanted: {name: names[name] for name in wanted}  # noqa: E731
    modules = {
        "initialize": pick("initialize"),
        "execute": pick("execute", "send_close_signal"),
        "core": pick("initialize", "send_close_signal"),
    }
    return {**modules, "exceptions": pick("WorldTooSmallException"), "": names}


def _say_words(who, words):
    """
    Says what of dask-mpi's words the launch cannot follow any more, warns of resources that it lacks, and of a rank
    that is no other's: with dask-mpi every rank runs the script.
    """
    if "mpi4py.MPI" in sys.modules:
        notes.warn(
            f"MPI says rank 0 of 1 here, where the script runs once: what asks for its rank must go by what {who}()"
            " returns, or run as `mpirun … python` with tsdask_mpi.initialize()."
        )
    default = {
        "nthreads": (None, 0, 1),
        "memory_limit": (None, "auto"),
        "local_directory": (None, ""),
        "worker_class": (None, "distributed.Worker", "distributed.Nanny"),
    }
    unlike = {name: words[name] for name in default if name in words and words[name] not in default[name]}
    if unlike:
        notes.note(
            f"{who}({', '.join(f'{name}={value!r}' for name, value in unlike.items())}): the launch has begun; give these words to tsdask-mpi."
        )
    notes.differences(who, {"worker_options": words.get("worker_options")}, None)


def _gateway():
    GatewayCluster = _cluster_class("GatewayCluster", "dask_gateway")

    class Gateway:
        """A gateway to one cluster, the one of this launch."""

        def __init__(self, *_, asynchronous=False, **__):
            self.asynchronous = asynchronous

        def cluster_options(self, **_):
            return types.SimpleNamespace()

        def new_cluster(self, *_, **__):
            return GatewayCluster(asynchronous=self.asynchronous)

        def connect(self, *_, **__):
            return self.new_cluster()

        def submit(self, *_, **__):
            return "tsdask-mpi"

        def list_clusters(self, **_):
            return []

        def stop_cluster(self, *_, **__):
            return None

        def close(self):
            return None

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            return None

    names = {"GatewayCluster": GatewayCluster, "Gateway": Gateway}
    return {"": names, "client": names}


def _coiled():
    return {"": {"Cluster": _cluster_class("Cluster", "coiled")}}


def _kubernetes():
    return kubernetes_names.names(_cluster_class)


_NAMES = {
    "dask_jobqueue": _jobqueue,
    "dask_mpi": _dask_mpi,
    "dask_gateway": _gateway,
    "dask_kubernetes": _kubernetes,
    "coiled": _coiled,
}
