"""Passes the token gate, and what is not to be logged, on to a worker that lives in a process of its own."""

from __future__ import annotations

import os

PRELOAD = "tsdask_mpi.gate_preload"
TOKEN_FILE = "TSDASK_TOKEN_FILE"


def pass_on(token_file: str | None, preload: list[list[str]]) -> list[list[str]]:
    """Name the token's file, if there is one, in the environment, and return the preloads with ours before them.

    Preloads that are given replace those of Dask's configuration (distributed/worker.py Worker.__init__), so these are
    put in.
    """
    import dask.config

    if token_file:
        os.environ[TOKEN_FILE] = token_file
    rest = preload or configured(
        dask.config.get("distributed.worker.preload"), dask.config.get("distributed.worker.preload-argv")
    )
    return [[PRELOAD], *rest]


def configured(names: object, argv: object) -> list[list[str]]:
    """
    Return Dask's two configuration values as [[name, argv…]…] (distributed/preloading.py process_preloads has their
    meaning).
    """
    modules = [names] if isinstance(names, str) else list(names or [])  # type: ignore[call-overload]
    arguments = list(argv or [])  # type: ignore[call-overload]
    if arguments and isinstance(arguments[0], str):
        return [[module, *arguments] for module in modules]
    return [[module, *(arguments[index] if index < len(arguments) else [])] for index, module in enumerate(modules)]
