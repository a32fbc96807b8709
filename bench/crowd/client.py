"""
Watches workers come, has them idle and work, and counts those that the scheduler removes. Started by bench/crowd.ts:
python client.py ORDER.json.

It writes the file `go`, at which the workers start, and prints one line of JSON with what was seen; times in seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from distributed import Client, wait
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.security import Security

import dask


class Removals(SchedulerPlugin):
    """Counts the crowd's workers that the scheduler took in and removed."""

    name = "crowd"

    def __init__(self) -> None:
        self.added = 0
        self.removed = 0

    async def start(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    def add_worker(self, scheduler: Any, worker: str) -> None:
        self.added += str(scheduler.workers[worker].name).startswith("crowd-")

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        # The name is not known any more here, and no other worker leaves.
        self.removed += 1


def counts(dask_scheduler: Any) -> tuple[int, int, int]:
    plugin = dask_scheduler.plugins["crowd"]
    there = sum(str(worker.name).startswith("crowd-") for worker in dask_scheduler.workers.values())
    return there, plugin.added, plugin.removed


def used(pid: int) -> tuple[float, int]:
    """Return a process's processor time in seconds and its proportional set size in bytes."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    with open(f"/proc/{pid}/smaps_rollup") as memory:
        pss = next(int(line.split()[1]) for line in memory if line.startswith("Pss:"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), pss * 1024


def main() -> None:
    with open(sys.argv[1]) as file:
        order = json.load(file)
    dask.config.set(order["settings"])
    files = order["tls"]
    security = Security(
        require_encryption=True, tls_ca_file=files["ca"], tls_client_cert=files["cert"], tls_client_key=files["key"]
    )
    with Client(order["address"], security=security, timeout=60) as client:
        client.register_plugin(Removals())
        pid = client.run_on_scheduler(os.getpid)
        before, _ = used(pid)
        with open(f"{order['go']}.new", "w") as go:
            go.write(order["address"])
        began = time.monotonic()
        os.rename(f"{order['go']}.new", order["go"])
        there, registered, added, removed = 0, None, 0, 0
        while time.monotonic() - began < order["patience"]:
            there, added, removed = client.run_on_scheduler(counts)
            if there >= order["workers"]:
                registered = time.monotonic() - began
                break
            time.sleep(0.2)
        print(f"{there} workers after {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        coming, _ = used(pid)
        ran_at = time.monotonic()
        ran = client.run(os.getpid, on_error="ignore")
        ran_for = time.monotonic() - ran_at
        rounds = []
        end = time.monotonic() + order["minutes"] * 60
        while time.monotonic() < end:
            at = time.monotonic()
            wait(client.map(lambda i: i, range(order["workers"]), pure=False))
            rounds.append(time.monotonic() - at)
            time.sleep(max(0.0, min(order["pause"], end - time.monotonic())))
        there, added, removed = client.run_on_scheduler(counts)
        cpu, pss = used(pid)
        print(
            json.dumps(
                {
                    "cpu_registering": coming - before,
                    "cpu": cpu - before,
                    "pss": pss,
                    "registered": registered,
                    "there": there,
                    "added": added,
                    "removed": removed,
                    "run": ran_for,
                    "ran": sum(1 for value in ran.values() if isinstance(value, int)),
                    "rounds": rounds,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
