"""
The class of clusters that the side bar of dask-labextension makes, and the settings that have it list this launch from
the start.

Facts relied on (dask_labextension/manager.py): `labextension.factory` names the class, which is called with
`asynchronous=True` and awaited; one cluster is made for each entry of `labextension.initial`, when the event loop runs;
"scale" calls scale() and awaits it, or adapt(), whose `minimum` and `maximum` it shows; "stop" calls close(). What they
raise is shown in the browser. A cluster without a name has that of its class and a number.
"""

import asyncio

import dask.config
from distributed.deploy.spec import SpecCluster

from . import growth


class LaunchCluster(SpecCluster):
    """
    A handle on the cluster of this launch. Closing it ends what its adapt() has begun, and leaves the launch alone.
    """

    def __init__(self, *_, asynchronous=False, **__):
        # patches.py has replaced SpecCluster.__init__: this makes the handle.
        SpecCluster.__init__(self, asynchronous=asynchronous, name="tsdask-mpi")
        # Dask would wait ten seconds for it at the server's end, on a loop that has stopped.
        self.shutdown_on_close = False
        # A handle's own methods come before those of this class.
        self.scale, self.adapt = self._scale_clicked, self._adapt_clicked

    async def _scale_clicked(self, n):
        growth.refuse_more_than_allowed(n)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._adapt_no_more)
        await loop.run_in_executor(None, growth.scale_now, n)
        await self._refresh()

    def _adapt_clicked(self, minimum, maximum):
        growth.refuse_more_than_allowed(maximum)
        self._adapt_no_more()
        self._adapting = growth.adapting(minimum, maximum)
        return self._adapting


# What the side bar calls a further one.
LaunchCluster.__name__ = "this launch"


def configure():
    """Name the class and the cluster."""
    dask.config.set(
        {
            "labextension.factory": {"module": __name__, "class": "LaunchCluster", "args": [], "kwargs": {}},
            "labextension.initial": [{"name": "this launch"}],
        }
    )
