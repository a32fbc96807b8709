"""Settings of Dask's that follow from the size of the cluster.

Relies on dask/config.py: `defaults` are the packages' own, in the order in which they were registered, and `merge`
gives what they say together. `collect_env` gives what variables DASK_… say, and with DASK_INTERNAL_INHERIT_CONFIG all
that another process's configuration says. Seen: 2022.12 to 2026.8.
"""

from __future__ import annotations

import os
from typing import Any

#: What `take` has set in this process.
_taken: dict[str, Any] = {}


def probe() -> str | None:
    """Say what is missing."""
    import dask.config

    from .names import lacking

    return lacking("dask.config", dask.config, "defaults", "merge", "collect_env")


def take(settings: dict[str, Any]) -> None:
    """
    Set these where the configuration still says what Dask's own defaults do, or less that was set here before. A site's
    copy of Dask's whole file counts as nothing said: it would else undo them all. A variable was meant, whatever it
    says.
    """
    if not settings or probe():
        return
    import dask.config

    defaults = dask.config.merge(*dask.config.defaults)
    variables = {name: text for name, text in os.environ.items() if name != "DASK_INTERNAL_INHERIT_CONFIG"}
    said = dask.config.collect_env(variables)
    absent = object()
    for name, value in settings.items():
        usual = dask.config.get(name, absent, config=defaults)
        before = _taken.get(name, usual)
        if usual is absent or dask.config.get(name, absent, config=said) is not absent:
            continue
        if dask.config.get(name, absent) not in (usual, before):
            continue
        if name not in _taken or _amount(value) > _amount(before):
            dask.config.set({name: value})
            _taken[name] = value


def _amount(value: Any) -> float:
    """Return a number, or seconds of a time."""
    from dask.utils import parse_timedelta

    return float(parse_timedelta(value))
