"""What is changed in each module that `finder` knows, after the module itself has been loaded."""

import importlib.machinery
import inspect
import sys

from . import ends, notes
from .compat import clients, cluster_classes, derived_settings


def adopting():
    return notes.settings["mode"] == "adopt"


def load(name, module, execute, change, has_stand_in):
    """
    Loads `module` with its own loader's `execute` and changes it by the function of this file that `change` names. What
    is not as expected there stays as it is, with one warning. `has_stand_in` is whether its clusters are there even
    where it is not.
    """
    try:
        execute(module)
    except ImportError:
        # dask_mpi without its MPI library, dask_jobqueue without something of its own.
        if not has_stand_in or not adopting():
            raise
        from . import stand_ins

        stand_ins.fill(module, name)
        return
    try:
        globals()[f"_{change}"](module)
    except (AttributeError, ImportError, TypeError) as error:
        notes.warn(
            f"this version of {name} is not known to tsdask-mpi ({error}) and stays as it is. Client() without words is this launch's."
        )


def stand_in_spec(name):
    from . import stand_ins

    return importlib.machinery.ModuleSpec(name, stand_ins.Loader, is_package=True)


def _spec(module):
    _replace_init(module.SpecCluster)


def _local(module):
    _replace_init(module.LocalCluster)


def _replace_init(cls):
    """
    Replaces `cls.__init__` by one that makes the object a handle on the running cluster, or (--own-clusters warn) says
    what it starts.
    """

    def begin(original, parameters, cluster, args, words):
        if not _is_ours(type(cluster)):
            _say_own(type(cluster).__name__)
            if {"security", "protocol"} <= parameters.parameters.keys():
                asked = _asked(parameters, cluster, args, words)
                _as_asked(words, asked.get("security"), "for_protocol", asked.get("protocol"))
            original(cluster, *args, **words)
            return
        from .compat import cluster_objects

        if lacks := cluster_objects.probe():
            notes.warn(f"clusters that the script asks for are its own: this version of distributed has no {lacks}.")
            original(cluster, *args, **words)
            return
        from . import handle

        if not isinstance(cluster, handle.Handle):
            handle.adopt(cluster, _asked(parameters, cluster, args, words))

    cluster_classes.replace_init(cls, begin)


def _is_ours(cls):
    """LocalCUDACluster is this launch's only where its workers are GPU workers."""
    if not adopting():
        return False
    return "cuda" in notes.settings or not any(base.__module__.partition(".")[0] == "dask_cuda" for base in cls.__mro__)


def _asked(parameters, self, args, words):
    """The words of a call by name, those that the class does not know included: they are not needed."""
    try:
        bound = dict(parameters.bind_partial(self, *args).arguments)
    except TypeError:
        bound = {}
    for parameter in parameters.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            bound.pop(parameter.name, None)
    bound.pop(next(iter(parameters.parameters), "self"), None)
    return {**bound, **words}


def _as_asked(words, security, which, *asked):
    """Gives a cluster that is not the launch's, or its client, a Security where none is given and that matters."""
    if security:
        return
    from . import other_clusters

    found = getattr(other_clusters, which)(*asked)
    if found is not None:
        words["security"] = found


def _say_own(who):
    """Says once that the script starts workers of its own: a Client(n_workers=…) makes a LocalCluster in turn."""
    if notes.said_own:
        return
    notes.said_own = True
    planned = notes.planned_workers()
    notes.warn(
        f"{who} starts workers of its own on this host; the {notes.count(planned, 'worker') if planned else 'workers'} of this launch"
        " may stay idle. Client() without words is connected to them; --own-clusters adopt makes this one mean them, too."
    )


def _client(module):
    """Client(n_workers=…) and the like, `client.cluster`, and `client.shutdown()` of a client that has a handle."""
    if lacks := clients.probe():
        raise TypeError(f"it has no {lacks}")
    parameters = inspect.signature(module.Client.__init__)
    known = {
        name
        for name, one in parameters.parameters.items()
        if one.kind is one.POSITIONAL_OR_KEYWORD or one.kind is one.KEYWORD_ONLY
    }
    if not {"address", "scheduler_file", "security", "asynchronous"} <= known:
        raise TypeError("Client takes other words")
    import dask.config

    def begin(init, client, args, words):
        from os import environ

        address = args[0] if args else words.get("address")
        here = environ.get("DASK_SCHEDULER_ADDRESS")
        # Certificates made for a cluster of the script's own open no other: the handle brings the launch's.
        if isinstance(address, getattr(sys.modules.get("tsdask_adopt.handle"), "Shared", ())):
            words.pop("security", None)
            notes.refuse_after_shutdown(type(client).__name__)
        if (
            address is not None
            or words.get("scheduler_file") is not None
            or dask.config.get("scheduler-address", None) != here
        ):
            if len(args) < 2:
                _as_asked(words, words.get("security"), "for_client", address, words.get("scheduler_file"))
            init(client, *args, **words)
            return
        more = {name: words[name] for name in words if name not in known}
        if adopting() or not more:
            notes.refuse_after_shutdown(type(client).__name__)
        if not adopting():
            if not more:
                init(client, *args, **words)
                return
            _say_own(f"Client({', '.join(sorted(more))})")
            _as_asked(words, words.get("security"), "for_protocol", more.get("protocol"))
            with dask.config.set({"scheduler-address": None}):
                init(client, *args, **words)
            return
        theirs = {name: words[name] for name in words if name in known}
        theirs.pop("security", None)  # likewise: the launch's are in Dask's configuration
        init(client, *args, **theirs)
        from . import changes, handle

        client.cluster = handle.LaunchCluster(client)
        changes.tell()
        if more:
            told = None if client.asynchronous else client.cluster.scheduler_info
            notes.differences(type(client).__name__, more, told)

    def before_shutdown(client):
        from os import environ

        from . import handle

        if isinstance(client.cluster, handle.Shared):
            # With a cluster, distributed closes that; this launch's ends when its scheduler is asked to.
            client.cluster = None
            notes.shut_down = True
        elif getattr(client.scheduler, "address", None) == environ.get("DASK_SCHEDULER_ADDRESS"):
            notes.shut_down = True

    # As its workers do, the script's clients wait longer for the scheduler of a large launch.
    if "connect" in notes.settings:
        times = ("distributed.comm.timeouts.connect", "distributed.comm.timeouts.tcp")
        derived_settings.take(dict.fromkeys(times, notes.settings["connect"]))
    clients.replace(module.Client, begin, before_shutdown)
    clients.quieten_lost(module)
    clients.close_quietly_at_exit(module)
    ends.tell_of_threads()


def _jobqueue(module):
    """Every class of a cluster or runner in the package: none of them needs its batch system's commands or job."""
    from distributed.deploy.spec import SpecCluster

    runner = getattr(sys.modules.get("dask_jobqueue.runner"), "BaseRunner", None)
    bases = tuple(base for base in (SpecCluster, runner) if base is not None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "dask_jobqueue"]:
        for cls in list(vars(sys.modules[name]).values()):
            if inspect.isclass(cls) and cls.__module__ == name and issubclass(cls, bases) and "__init__" in vars(cls):
                _replace_init(cls)


def _cuda(module):
    if adopting() and "cuda" in notes.settings:
        _replace_init(module.LocalCUDACluster)


def _dask_mpi(module):
    if not adopting():
        return
    from . import stand_ins

    stand_ins.fill(module, "dask_mpi")


def _gateway(module):
    if not adopting():
        return
    from . import stand_ins

    stand_ins.fill(module, "dask_gateway")


def _kubernetes(module):
    """The package itself stays as it is: its classes are changed where they are made."""


def _kube_classic(module):
    _replace_init(module.KubeCluster)


def _kube_operator(module):
    _replace_init(module.KubeCluster)
    if adopting():
        from . import kubernetes_names

        kubernetes_names.with_groups(module.KubeCluster)


def _labextension(module):
    """The side bar of JupyterLab: it lists this launch, and what it makes are handles on it."""
    if not adopting():
        return
    from . import labextension

    labextension.configure()


def _coiled(module):
    if not adopting():
        return
    from . import stand_ins

    stand_ins.fill(module, "coiled")
