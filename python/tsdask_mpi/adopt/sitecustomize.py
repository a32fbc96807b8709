"""
First in the script's PYTHONPATH: Python imports it at its start (https://docs.python.org/3/library/site.html). It puts
one finder on sys.meta_path, leaves sys.path as the user has it, and imports the sitecustomize that would have been
imported without it.
"""

import _signal
import os
import sys


def _begin():
    folder = os.path.dirname(os.path.abspath(__file__))
    # Kernels and processes of older environments inherit these variables. Their Dask is not this launch's.
    is_known = sys.version_info >= (3, 10)
    if is_known and os.environ.get("TSDASK_CLUSTERS") and os.environ.get("DASK_SCHEDULER_ADDRESS"):
        try:
            from tsdask_adopt import finder

            finder.install()
        except Exception as error:  # a script runs without this rather than not at all
            print(f"tsdask-mpi: warning: clusters that the script asks for are its own: {error!r}", file=sys.stderr)
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    own = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        # The import system looks for the module that it has just loaded.
        sys.modules.setdefault("sitecustomize", own)


def _begin_uninterrupted():
    """
    Ctrl-C ends a Python that has not come to its script yet, as it ends other programs: not by a traceback of its
    imports.
    """
    if _signal.getsignal(_signal.SIGINT) is not _signal.default_int_handler:
        _begin()
        return
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    try:
        _begin()
    finally:
        if _signal.getsignal(_signal.SIGINT) is _signal.SIG_DFL:
            _signal.signal(_signal.SIGINT, _signal.default_int_handler)


_begin_uninterrupted()
