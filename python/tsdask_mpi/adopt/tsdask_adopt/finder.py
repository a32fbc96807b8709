"""Changes modules when they are imported, and not before: what a script does not import costs it nothing."""

import os
import sys
from contextlib import suppress

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

#: The folder that the script was started in; None where it is gone.
started_in = None

#: Whether `patches` could not be imported, which has been said.
_is_without_patches = False


def install():
    global started_in
    sys.meta_path.insert(0, Finder)
    try:
        started_in = os.getcwd()
    except FileNotFoundError:
        return


class Finder:
    """
    A finder of sys.meta_path (https://docs.python.org/3/reference/import.html#the-meta-path) for the names in HOOKS.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in HOOKS:
            return None
        spec = _without_us(name, path, target)
        patches = _patches()
        if patches is None:
            return spec
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


def _patches():
    """`patches`; None where it cannot be imported: a script runs without it rather than not at all."""
    global _is_without_patches
    if _is_without_patches:
        return None
    try:
        from . import patches
    except Exception as error:
        _is_without_patches = True
        # `notes`, which says such things elsewhere, may be what is not imported.
        with suppress(OSError, ValueError, AttributeError):
            print(f"tsdask-mpi: warning: clusters that the script asks for are its own: {error!r}", file=sys.stderr)
        return None
    return patches


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
        from . import patches  # without which there are no loaders of this kind

        change = HOOKS[self._name]
        patches.load(self._name, module, self._loader.exec_module, change, has_stand_in=self._name in STAND_INS)
