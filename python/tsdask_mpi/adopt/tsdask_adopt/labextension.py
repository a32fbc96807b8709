"""The class of clusters that the side bar of dask-labextension makes, and the settings that have it list this launch from the start.

Facts relied on (dask_labextension/manager.py): `labextension.factory` names the class, which is called with `asynchronous=True` and awaited; one
cluster is made for each entry of `labextension.initial`, when the event loop runs; "scale" calls scale() or adapt(), "stop" calls close().
"""

import dask.config
from distributed.deploy.spec import SpecCluster


class LaunchCluster(SpecCluster):
    """A handle on the cluster of this launch. Closing it ends what its adapt() has begun, and leaves the launch alone."""

    def __init__(self, *_, asynchronous=False, **__):
        # patches.py has replaced SpecCluster.__init__: this makes the handle.
        SpecCluster.__init__(self, asynchronous=asynchronous, name="tsdask-mpi")
        # Dask would wait ten seconds for it at the server's end, on a loop that has stopped.
        self.shutdown_on_close = False


def configure():
    """Name the class and the cluster."""
    dask.config.set(
        {
            "labextension.factory": {"module": __name__, "class": LaunchCluster.__name__, "args": [], "kwargs": {}},
            "labextension.initial": [{"name": "this launch"}],
        }
    )
