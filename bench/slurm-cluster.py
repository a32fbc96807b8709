"""A cluster without a script by dask-jobqueue's SLURMRunner: a scheduler on the first task, workers on all others.

Usage: srun -n <n> python slurm-cluster.py <scheduler file>
"""

import sys

from dask_jobqueue.slurm import SLURMRunner

with SLURMRunner(scheduler_file=sys.argv[1], client=False):
    pass
