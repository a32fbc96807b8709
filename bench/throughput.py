"""What goes through a cluster: tasks per second, and bytes per second from worker to worker. One JSON line on stdout.

Usage: throughput.py WORKERS. Plain Dask: `Client()` is connected by its environment.
"""

import json
import sys
import time

import numpy as np
from dask.distributed import Client, wait

TASKS = 4000
ARRAYS = 40
ARRAY_BYTES = 8 * 2**20


def small(number):
    return number + 1


def make(number):
    return np.full(ARRAY_BYTES // 8, number, dtype="float64")


def take(array):
    return float(array[-1])


def tasks_per_second(client, base):
    began = time.perf_counter()
    futures = client.map(small, range(base, base + TASKS), pure=False)
    wait(futures)
    return TASKS / (time.perf_counter() - began)


def bytes_per_second(client, here, there):
    arrays = client.map(make, range(ARRAYS), pure=False, workers=[here])
    wait(arrays)
    began = time.perf_counter()
    taken = client.map(take, arrays, pure=False, workers=[there])
    wait(taken)
    seconds = time.perf_counter() - began
    assert client.gather(taken) == [float(number) for number in range(ARRAYS)]
    return ARRAYS * ARRAY_BYTES / seconds


def main():
    with Client() as client:
        client.wait_for_workers(int(sys.argv[1]))
        first, second, *_ = sorted(client.ncores())
        tasks_per_second(client, 0)
        bytes_per_second(client, first, second)
        tasks = max(tasks_per_second(client, TASKS * turn) for turn in (1, 2, 3))
        data = max(bytes_per_second(client, *pair) for pair in ((first, second), (second, first), (first, second)))
        print(json.dumps({"tasks": tasks, "bytes": data}), flush=True)


if __name__ == "__main__":
    main()
