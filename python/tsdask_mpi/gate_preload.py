"""
A Dask preload for workers that live in a process of their own (distributed.Nanny, dask_cuda.CUDAWorker): puts the token
gate there, and has its log end with its scheduler.

The import puts the gate there, before the worker opens any port; a failure there keeps the worker from starting
(distributed/preloading.py: preloads are imported by Worker.__init__, and what they raise then is not caught).
"""

from __future__ import annotations

import functools
import os
from typing import Any

from tsdask_mpi import listeners, logs
from tsdask_mpi.compat import nanny_methods
from tsdask_mpi.compat.close_reasons import ENDED_WITH_SCHEDULER, given_reason, reason_of
from tsdask_mpi.gate_environment import TOKEN_FILE
from tsdask_mpi.token_gate import install_from

listeners.install()
if os.environ.get(TOKEN_FILE):
    install_from(os.environ[TOKEN_FILE])


def dask_setup(worker: Any) -> None:
    """
    Have a worker leave at once, and without a word, when its scheduler has closed or is gone, as those that the rank
    forks.
    """
    close = worker.close

    @functools.wraps(close)
    async def quietly(*args: Any, **kwargs: Any) -> Any:
        if reason_of(given_reason(kwargs), was_retired=False) in ENDED_WITH_SCHEDULER:
            logs.mute()
            # Whoever wanted the result of a task that runs is gone: a cluster that comes back does not wait for its
            # end.
            kwargs["executor_wait"] = False
        return await close(*args, **kwargs)

    logs.drop_lost_peers()
    logs.shorten_folder_troubles()
    nanny_methods.replace_method(worker, "close", quietly)
