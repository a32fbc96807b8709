"""
Some thousand tasks that compute, half a minute of them on two workers. One JSON line on stdout: the scheduler's
processor seconds so far.

Usage: report.py WORKERS TASKS
"""

import json
import sys
import time

from dask.distributed import Client, as_completed


def compute(number):
    total = 0
    for value in range(number % 100, number % 100 + 150_000):
        total += value * value
    return total


def main():
    with Client() as client:
        client.wait_for_workers(int(sys.argv[1]))
        for future in as_completed(client.map(compute, range(int(sys.argv[2])), pure=False)):
            future.release()
        print(json.dumps({"scheduler": client.run_on_scheduler(time.process_time)}), flush=True)


if __name__ == "__main__":
    main()
