"""
The floor that no launch can go below: one Python that imports Dask once, then forks a scheduler and its workers. No
launcher, no security, no dashboard, no supervision, no environment of their own for the workers: only what Dask itself
needs.

Usage: python floor.py <workers> <scheduler file>
"""

import asyncio
import os
import sys

import distributed
import distributed.http.scheduler.info
import distributed.http.worker.prometheus.core
import tornado.platform.asyncio  # noqa: F401


async def scheduler(path, told):
    """Run the scheduler; its address goes to all workers through a pipe."""
    async with distributed.Scheduler(host="127.0.0.1", port=0, dashboard=False, scheduler_file=path) as running:
        os.write(told, running.address.encode())
        os.close(told)
        await running.finished()


async def worker(address):
    """Run one worker."""
    async with distributed.Worker(address, nthreads=1, memory_limit="1GiB") as running:
        await running.finished()


def child(main):
    """Fork, and run `main` in the child."""
    if os.fork() == 0:
        status = 1
        try:
            main()
            status = 0
        finally:
            os._exit(status)


def main():
    """Fork all, and wait for their end."""
    workers, path = int(sys.argv[1]), sys.argv[2]
    hear, tell = os.pipe()
    child(lambda: asyncio.run(scheduler(path, tell)))
    os.close(tell)
    address = os.read(hear, 4096).decode()
    for _ in range(workers):
        child(lambda: asyncio.run(worker(address)))
    for _ in range(workers + 1):
        os.wait()


if __name__ == "__main__":
    main()
