"""A Dask preload for workers that live in a process of their own (distributed.Nanny, dask_cuda.CUDAWorker): puts the token gate there.

Its import does the work, before the worker opens any port; a failure there keeps the worker from starting
(distributed/preloading.py: preloads are imported by Worker.__init__, and what they raise then is not caught).
"""

from __future__ import annotations

import os

from tsdask_mpi import listeners
from tsdask_mpi.gate_environment import TOKEN_FILE
from tsdask_mpi.token_gate import install_from

listeners.install()
install_from(os.environ[TOKEN_FILE])
