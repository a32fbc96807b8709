"""
What a script has set of Dask's configuration before `initialize()`. The ranks' Pythons are replaced by then, and the
scheduler's and workers' would not have it; with dask-mpi they do.

Relies on dask.config.refresh(), which fills a mapping as the configuration is when Dask is imported, with what packages
have added to it; and on dask.config.collect_env(): `DASK_A__B_C=1` is `a.b-c`, its value a Python literal.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

# A name as collect_env() gives it back: its signs `-` and `_` are one there.
_NAME = re.compile(r"[a-z0-9-]+(_?[a-z0-9-]+)*")


def variables() -> dict[str, str]:
    """Return the settings that the script has changed as variables that Dask's processes read."""
    if "dask.config" not in sys.modules:
        return {}
    import dask.config

    before: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dask.config.refresh(config=before)
        except (OSError, ValueError):
            return {}
    return dict(_said(before, dask.config.config, ()))


def _said(before: Mapping[str, Any], now: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    old = {_canonical(key): value for key, value in before.items()}
    for key, value in now.items():
        was = old.get(_canonical(key))
        if value == was:
            continue
        if isinstance(value, Mapping):
            yield from _said(was if isinstance(was, Mapping) else {}, value, (*path, str(key)))
        elif all(_NAME.fullmatch(name) for name in (*path, str(key))) and _is_literal(value):
            yield "DASK_" + "__".join((*path, str(key))).upper().replace("-", "_"), repr(value)


def _canonical(key: object) -> str:
    return str(key).replace("_", "-")


def _is_literal(value: object) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False
