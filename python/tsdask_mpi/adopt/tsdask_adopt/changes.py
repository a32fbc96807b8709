"""
What the script has changed since its start that workers would have from it where it starts them itself, and that the
launch's, which are older than the script, have not: its folder, and Dask's settings of workers. Its variables are left
out: libraries set some of their own when they are imported.

Facts relied on: dask.config.refresh() fills a mapping as the configuration is when Dask is imported, with what packages
have added to it.
"""

import os
import warnings

import dask.config

from . import finder, notes

#: The settings that a worker process reads.
_OF_WORKERS = ("distributed.worker", "distributed.nanny", "temporary-directory")
#: Those of them that change nothing for workers that are no children of a Nanny's; very many scripts set the first.
_WITHOUT_EFFECT = ("distributed.worker.daemon", "distributed.worker.multiprocessing-method")
#: How many settings are named.
_MOST = 3


def tell():
    """Says in one line what was changed, if anything was."""
    said = []
    try:
        if finder.started_in not in (None, here := os.getcwd()):
            said.append(f"works in {here}, no longer in {finder.started_in}")
    except FileNotFoundError:
        said.append(f"works in a folder that was removed, no longer in {finder.started_in}")
    if names := _settings():
        more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        said.append(f"has set {', '.join(names[:_MOST])}{more}")
    if said:
        notes.note(f"the script {', and '.join(said)}: the workers, which were started before it, do not follow.")


def _settings():
    """The names of workers' settings that are not as Dask's files and variables say."""
    before: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dask.config.refresh(config=before)
        except (OSError, ValueError):
            return []
    names: list[str] = []
    for name in _OF_WORKERS:
        _compare(name, dask.config.get(name, None, config=before), dask.config.get(name, None), names)
    return names


def _compare(name, before, now, names):
    if isinstance(before, dict) and isinstance(now, dict):
        # A name may be written with either sign.
        old, new = ({str(key).replace("_", "-"): (key, one) for key, one in two.items()} for two in (before, now))
        for key in sorted({*old, *new}):
            (was, one), (shown, other) = old.get(key, (key, None)), new.get(key, (None, None))
            _compare(f"{name}.{was if shown is None else shown}", one, other, names)
    elif before != now and name.replace("_", "-") not in _WITHOUT_EFFECT:
        names.append(name)
