import { join } from "node:path";
import { projectRoot } from "./bed/command.ts";
import { python } from "./bed/pythons.ts";

/** The program under test, as it is started by every launcher. */
export const tsdask = join(projectRoot, "bin", "tsdask-mpi");

/** `tsdask-mpi` with the Python to test with, and more words. */
export function program(...words: string[]): string[] {
  return [tsdask, "--python", python().path, ...words];
}

/** A script that computes on all workers, tells what it found on stdout, and exits with the code it is given. */
export const script = `
import socket, sys
from dask.distributed import Client

def where():
    return socket.gethostname()

if __name__ == "__main__":
    with Client() as client:
        workers = client.scheduler_info(n_workers=-1)["workers"] if "n_workers" in Client.scheduler_info.__code__.co_varnames else client.scheduler_info()["workers"]
        hosts = sorted(set(client.run(where).values()))
        total = client.submit(sum, range(1000)).result()
        print("workers", len(workers), "hosts", ",".join(hosts), "total", total, "scheme", client.scheduler.address.split(":")[0], flush=True)
    sys.exit(int(sys.argv[1]))
`;
