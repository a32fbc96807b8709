"""Many workers of Dask in one process. Started by bench/crowd.ts: python workers.py ORDER.json.

The order says how many they are, their names, the credentials, the settings of Dask, and the file `go`, in which the
scheduler's address will be. They share an event loop; each has one thread for tasks.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from typing import Any

import distributed
from distributed.security import Security

import dask


async def crowd(order: dict[str, Any], address: str) -> None:
    """Run the workers until this process is killed."""
    first, count = order["first"], order["each"]
    files = order["tls"]
    security = Security(
        require_encryption=True,
        tls_ca_file=files["ca"],
        tls_worker_cert=files["cert"],
        tls_worker_key=files["key"],
        tls_client_cert=files["cert"],
        tls_client_key=files["key"],
    )
    workers = [
        distributed.Worker(
            address,
            name=f"crowd-{number}",
            nthreads=1,
            memory_limit=0,
            dashboard=False,
            host=order["host"],
            protocol="tls",
            security=security,
            local_directory=os.path.join(order["scratch"], str(number)),
        )
        for number in range(first, first + count)
    ]
    began = time.monotonic()
    results = await asyncio.gather(*workers, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    print(f"registered {count - len(failures)} in {time.monotonic() - began:.2f} s", flush=True)
    for failure in failures[:3]:
        print(f"failed: {type(failure).__name__}: {failure}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    with open(sys.argv[1]) as file:
        order = json.load(file)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    dask.config.set(order["settings"])
    print("ready", flush=True)
    while not os.path.exists(order["go"]):
        time.sleep(0.02)
    with open(order["go"]) as go:
        address = go.read()
    asyncio.run(crowd(order, address))


if __name__ == "__main__":
    main()
