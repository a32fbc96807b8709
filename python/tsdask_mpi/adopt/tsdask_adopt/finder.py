"""Changes modules when they are imported, and not before: what a script does not import costs it nothing."""

import sys

#: The modules that are changed once they are there, and the function of `patches` that does it.
HOOKS = {
    "distributed.client": "client",
    "distributed.deploy.spec": "spec",
    "distributed.deploy.local": "local",
    "dask_jobqueue": "jobqueue",
    "dask_cuda": "cuda",
    "dask_mpi": "dask_mpi",
    "dask_gateway": "gateway",
    "dask_kubernetes": "kubernetes",
    "dask_kubernetes.classic.kubecluster": "kube_classic",
    "dask_kubernetes.operator.kubecluster.kubecluster": "kube_operator",
    "coiled": "coiled",
    "dask_labextension": "labextension",
}

#: Those that a script finds even where they are not installed, or do not import (dask_mpi without its MPI).
STAND_INS = frozenset(["dask_mpi", "dask_jobqueue", "dask_gateway", "dask_kubernetes", "coiled"])


def install():
    sys.meta_path.insert(0, Finder)


class Finder:
    """
    A finder of sys.meta_path (https://docs.python.org/3/reference/import.html#the-meta-path) for the names in HOOKS.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in HOOKS:
            return None
        spec = _without_us(name, path, target)
        from . import patches

        if spec is None or spec.loader is None:
            return patches.stand_in_spec(name) if name in STAND_INS and patches.adopting() else None
        spec.loader = _Loader(spec.loader, name)
        return spec


def _without_us(name, path, target):
    for finder in sys.meta_path:
        if finder is Finder:
            continue
        spec = getattr(finder, "find_spec", lambda *_: None)(name, path, target)
        if spec is not None:
            return spec
    return None


class _Loader:
    """The module's own loader, with a word afterwards."""

    def __init__(self, loader, name):
        self._loader = loader
        self._name = name

    def __getattr__(self, attribute):
        return getattr(self._loader, attribute)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        # From here on the module looks as if nobody had stood between (inspect, pickle, importlib.reload).
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        from . import patches

        change = HOOKS[self._name]
        patches.load(self._name, module, self._loader.exec_module, change, has_stand_in=self._name in STAND_INS)
