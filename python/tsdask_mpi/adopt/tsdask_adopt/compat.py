"""The files of tsdask_mpi/compat/ under this package's name: a script's Python has another `tsdask_mpi`, or none."""

import os

__path__ = [os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 2, "compat")]
