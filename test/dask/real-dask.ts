import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { createAuthority, type Credentials } from "../../src/security/certificates.ts";
import type { TlsCredentials } from "../../src/dask/comm.ts";

/** A Python that has Dask, and which. */
export interface DaskPython {
  readonly python: string;
  readonly version: string;
}

/**
 * The Pythons with Dask that tests use: those of TSDASK_TEST_PYTHON, else the project's own environment's and the
 * system's.
 */
export function daskPythons(): DaskPython[] {
  const named = process.env["TSDASK_TEST_PYTHON"]?.split(delimiter).filter((part) => part !== "");
  const candidates = named ?? [join(import.meta.dirname, "../../.venv/bin/python"), "/usr/bin/python3"];
  return candidates
    .filter((python) => existsSync(python))
    .flatMap((python) => {
      const version = daskVersion(python);
      return version === undefined ? [] : [{ python, version }];
    });
}

function daskVersion(python: string): string | undefined {
  try {
    return execFileSync(python, ["-c", "import distributed; print(distributed.__version__)"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    // This Python has no Dask: tests with it are not made.
    return undefined;
  }
}

/** A scheduler of Dask's own with workers, in one Python process, in a folder of its own. */
export interface DaskCluster extends AsyncDisposable {
  readonly address: string;
  readonly tls: TlsCredentials | undefined;
  readonly folder: string;
  readonly process: ChildProcess;
}

const SOURCE = `
import asyncio, json, os, sys
import dask
from distributed import Scheduler, Worker
from distributed.security import Security

async def main():
    folder, secure, workers = sys.argv[1], sys.argv[2] == "tls", int(sys.argv[3])
    path = lambda name: os.path.join(folder, name)
    pair = {}
    for role in ("scheduler", "worker", "client"):
        pair["tls_%s_cert" % role], pair["tls_%s_key" % role] = path("cert.pem"), path("key.pem")
    security = Security(tls_ca_file=path("ca.pem"), require_encryption=True, **pair) if secure else Security()
    protocol = "tls" if secure else "tcp"
    with dask.config.set({"distributed.worker.memory.spill": False}):
        async with Scheduler(host="127.0.0.1", port=0, protocol=protocol, security=security, dashboard=False) as scheduler:
            started = [Worker(scheduler.address, nthreads=1, name="w%d" % i, security=security, memory_limit=0,
                              local_directory=folder, dashboard=False) for i in range(workers)]
            for worker in started:
                await worker
            print(json.dumps({"address": scheduler.address}), flush=True)
            await scheduler.finished()
            # The retired workers' threads may take half a minute more to end: they are this process's, not the
            # scheduler's.
            os._exit(0)

asyncio.run(main())
`;

/** Starts a real cluster; disposing of it kills its process and removes its folder. */
export async function startDask(
  python: string,
  { secure = true, workers = 1 }: { secure?: boolean; workers?: number } = {},
): Promise<DaskCluster> {
  const folder = await mkdtemp(join(tmpdir(), "tsdask-dask-"));
  const tls = secure ? await writeCredentials(folder) : undefined;
  const child = spawn(python, ["-c", SOURCE, folder, secure ? "tls" : "tcp", String(workers)], {
    stdio: ["ignore", "pipe", "pipe"],
    // Where Dask makes its scratch space; one that it makes for itself it leaves behind.
    env: { ...process.env, TMPDIR: folder },
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  };
  for await (const line of createInterface(child.stdout)) {
    const { address } = JSON.parse(line) as { address: string };
    return { address, tls, folder, process: child, [Symbol.asyncDispose]: stop };
  }
  await stop();
  throw new Error(`Dask did not start: ${said}`);
}

/** Makes an authority and one pair for all roles, and writes ca.pem, cert.pem and key.pem. */
async function writeCredentials(folder: string): Promise<TlsCredentials> {
  const authority = await createAuthority({ launch: "test" });
  const pair: Credentials = await authority.issue({
    name: "dask",
    addresses: ["127.0.0.1"],
    server: true,
    client: true,
  });
  const made = { ca: authority.certificate, ...pair };
  await Promise.all(
    Object.entries(made).map(([name, text]) => writeFile(join(folder, `${name}.pem`), text, { mode: 0o600 })),
  );
  return made;
}
