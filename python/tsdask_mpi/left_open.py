"""The clusters that nobody has closed: they are, before the interpreter ends."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import TYPE_CHECKING, Any

from distributed.core import Status

from tsdask_mpi.compat import clients

if TYPE_CHECKING:
    from tsdask_mpi.cluster import Cluster

#: Synchronous clusters, to be closed while their event loops still run.
_open: weakref.WeakSet[Cluster] = weakref.WeakSet()


# What is forked closes nothing of its parent's.
os.register_at_fork(after_in_child=_open.clear)


def remember(cluster: Cluster) -> None:
    """Close this cluster at the interpreter's end, if nobody has by then."""
    _open.add(cluster)


@atexit.register
def _close_open() -> None:
    left = [cluster for cluster in _open if cluster.status != Status.closed]
    if left:
        # Their clients first: they would tell of the schedulers that they lost.
        clients.close_left_open()
    for cluster in left:
        # Not by `close`: its event loop gets no more threads from an interpreter that ends.
        if cluster._adapting is not None:
            cluster._adapting.stop()
        cluster._kept.end()
        cluster.status = Status.closed


def close_later(loop: Any, connection: Any) -> None:
    """Close a connection in its event loop, if that is still open: with it goes all that it has open."""
    try:
        loop.add_callback(connection.close_rpc)
    except RuntimeError:
        return
