"""Preload modules in the form that distributed's servers take them (distributed/preloading.py process_preloads)."""

from __future__ import annotations

from typing import Any


def preload_kwargs(preload: list[list[str]] | None) -> dict[str, Any]:
    """Return the arguments for [[name, argv…]…]; none when there is nothing to load, so that Dask's configuration counts."""
    if not preload:
        return {}
    return {"preload": [name for name, *_ in preload], "preload_argv": [list(argv) for _, *argv in preload]}
