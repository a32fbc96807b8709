"""Settings of Dask's that follow from the size of the cluster.

Relies on dask/config.py: `defaults` are the packages' own, in the order in which they were registered, and `merge`
gives what they say together. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

from typing import Any

#: What `take` has set in this process.
_taken: dict[str, Any] = {}


def probe() -> str | None:
    """Say what is missing."""
    import dask.config

    from .names import lacking

    return lacking("dask.config", dask.config, "defaults", "merge")


def take(settings: dict[str, Any]) -> None:
    """
    Set these where the configuration still says what Dask's own defaults do, or what was set here before. A site's copy
    of Dask's whole file counts as nothing said: it would else undo them all.
    """
    if not settings or probe():
        return
    import dask.config

    defaults = dask.config.merge(*dask.config.defaults)
    absent = object()
    for name, value in settings.items():
        usual = dask.config.get(name, absent, config=defaults)
        if usual is not absent and dask.config.get(name, absent) in (usual, _taken.get(name, usual)):
            dask.config.set({name: value})
            _taken[name] = value
