"""
The user's script of the start-up benchmark: says when it is connected, when all workers are in, and when it reaches its
last line.

Usage: python script.py <how> <workers> <scheduler file>, `how` being: client (a plain Client()), slurm (SLURMRunner),
or the class of dask-mpi's workers (dask_mpi.initialize).
"""

import sys
import time

from distributed import Client


def say(what):
    """Write what happened and when (seconds since 1970)."""
    print(f"bench {what} {time.time():.4f}", flush=True)


def use(client, workers):
    """What a user does first: connect, wait for the workers, compute something."""
    say("connected")
    client.wait_for_workers(workers)
    say("workers")
    assert client.submit(sum, range(10)).result() == 45


def main():
    """Start or find the cluster, and use it."""
    how, workers, scheduler_file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if how == "slurm":
        from dask_jobqueue.slurm import SLURMRunner

        with SLURMRunner(scheduler_file=scheduler_file) as runner, Client(runner) as client:
            use(client, workers)
        say("over")
        return
    if how != "client":
        from dask_mpi import initialize

        initialize(worker_class=how)
    with Client() as client:
        use(client, workers)
    say("over")


if __name__ == "__main__":
    main()
