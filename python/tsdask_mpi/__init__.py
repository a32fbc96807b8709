"""What runs in Python: the fork server of a host, and the Dask scheduler or worker in each of its children.

`clusters` lists the user's clusters, and `Cluster` makes one for a notebook. For scripts that are started without
`tsdask-mpi` in front there are `initialize`, `execute` and `send_close_signal`; each is loaded when it is asked for.
"""

__all__ = [
    "Cluster",
    "ClusterStartError",
    "WorldTooSmallException",
    "clusters",
    "execute",
    "initialize",
    "send_close_signal",
]


def __getattr__(name: str) -> object:
    """Return what scripts import from here."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "clusters":
        # From a module of another name: importing one makes it an attribute of this package, in the function's place.
        from tsdask_mpi.listing import list_clusters

        return list_clusters
    if name in ("Cluster", "ClusterStartError"):
        from tsdask_mpi import cluster

        return getattr(cluster, name)
    from tsdask_mpi import spmd

    return getattr(spmd, name)
