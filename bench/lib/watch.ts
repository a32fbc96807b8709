import { setTimeout as sleep } from "node:timers/promises";
import { openComm, type Comm } from "../../src/dask/comm.ts";
import { credentialsFor } from "../../src/dask/live-cluster.ts";
import { readSchedulerFile } from "../../src/dask/read-scheduler-file.ts";
import { terminate, type SchedulerEndpoint } from "../../src/dask/rpc.ts";
import { Failure } from "../../src/errors/failure.ts";

/** How often (ms) a scheduler is asked for its workers: the resolution of the figures, and under 1 % of a core. */
const askEvery = 15;

/** A cluster whose workers are all in, and how to end it. */
export interface Watched {
  readonly scheduler: SchedulerEndpoint;
  /** When (by `clock`) the scheduler answered, and when it had all workers. */
  readonly schedulerAt: number;
  readonly workersAt: number;
}

/**
 * Waits until the scheduler whose file is `schedulerFile` has `workers` workers, asking the scheduler itself. `clock`
 * gives the seconds since the start; `alive` turns false when the launch has ended. Throws when it has, or when
 * `deadline` seconds have passed.
 */
export async function watchWorkers({
  schedulerFile,
  workers,
  clock,
  alive,
  deadline,
}: {
  readonly schedulerFile: string;
  readonly workers: number;
  readonly clock: () => number;
  readonly alive: () => boolean;
  readonly deadline: number;
}): Promise<Watched> {
  const check = (missing: string): void => {
    if (!alive()) throw new Error(`the launch ended ${missing}`);
    if (clock() > deadline) throw new Error(`${deadline} s passed ${missing}`);
  };
  const scheduler = await patiently(
    () => endpoint(schedulerFile),
    () => check("without a scheduler file"),
  );
  await using comm = await patiently(
    () => openComm(scheduler.address, { tls: scheduler.tls, deadline: deadline * 1000 }),
    () => check("before the scheduler answered"),
  );
  let schedulerAt: number | undefined;
  for (;;) {
    const found = await countWorkers(comm);
    schedulerAt ??= clock();
    if (found >= workers) return { scheduler, schedulerAt, workersAt: clock() };
    check(`with ${found} of ${workers} workers`);
    await sleep(askEvery);
  }
}

/** Ends a cluster as `Client.shutdown()` does: distributed/client.py sends the scheduler `terminate`. */
export async function shutDown(scheduler: SchedulerEndpoint): Promise<void> {
  await terminate(scheduler, { deadline: 20_000 });
}

async function endpoint(path: string): Promise<SchedulerEndpoint> {
  const file = await readSchedulerFile(path);
  return { address: file.address, tls: await credentialsFor(file) };
}

async function countWorkers(comm: Comm): Promise<number> {
  comm.send({ op: "ncores", reply: true });
  return Object.keys((await comm.receive()) as object).length;
}

/** Tries again while the file is not there yet, is half written, or its scheduler does not listen yet. */
async function patiently<T>(act: () => Promise<T>, check: () => void): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      check();
      await sleep(3);
    }
  }
}
