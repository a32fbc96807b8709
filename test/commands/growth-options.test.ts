import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { writeJobList } from "../../src/batch/job-list.ts";
import { workerJob, type WorkerJob } from "../../src/commands/growth-options.ts";
import { writeSchedulerFile } from "../../src/dask/scheduler-file.ts";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tsdask-growth-"))));
afterEach(() => rmSync(folder, { recursive: true }));

/** The worker job of a cluster that is to have so many workers, and has these fields in its record. */
async function made(asked: Parameters<typeof workerJob>[0], { expected = 3, record = {} } = {}): Promise<WorkerJob> {
  const schedulerFile = join(folder, "scheduler.json");
  await writeSchedulerFile(schedulerFile, {
    ...{ type: "Scheduler", id: "S", address: "tls://127.0.0.1:1", services: {}, started: 1, workers: {} },
    tsdask: {
      ...{ version: "0.1.0", launch: "3f9c", pid: 1, host: "h", hub: { addresses: [], fingerprint: "" }, folder },
      ...{ dashboard: null, jupyter: null, hosts: ["h"], security: "tls", started: 1, ...record },
    },
  });
  const silent = { write: () => undefined };
  const place = { env: { HOME: folder }, cwd: folder, stdout: silent, stderr: silent };
  return await workerJob(asked, { schedulerFile, expected, place });
}

const key = "0123456789abcdef0123456789abcdef";

it.each([
  [{ expects: undefined, listed: 0, target: 60 }, undefined],
  [{ expects: undefined, listed: 0, target: 150 }, 150],
  // What it was launched for, and what other groups' jobs bring, count more than the group that grows.
  [{ expects: 3000, listed: 0, target: 150 }, 3000],
  [{ expects: undefined, listed: 2900, target: 150 }, 3050],
  [{ expects: 3000, listed: 2900, target: 150 }, 3050],
])("a group's jobs are told how large the whole cluster may be: %j", async ({ expects, listed, target }, told) => {
  const job = { system: "local", id: "local.1.1", host: "h", submitted: 1, expected: listed, joined: true } as const;
  if (listed > 0) await writeJobList(join(folder, "jobs"), { key, jobs: [job] });
  const groups = [{ name: "gpu", resources: { GPU: 1 }, options: {} }];
  const asked = { group: "gpu", script: import.meta.filename, workersPerJob: 1 };
  await using growth = await made(asked, { expected: target, record: { expects, groups } });
  expect(growth.submission.env?.["TSDASK_EXPECTED_WORKERS"]).toBe(told === undefined ? told : String(told));
  expect(growth.expected).toBe(told ?? target);
});

it.each(["lsf", "slurm"] as const)(
  "a script for %s that cannot be read is named, also where --workers-per-job is given",
  async (batch) => {
    const script = join(folder, "missing.sh");
    await expect(made({ batch, script, workersPerJob: 4 })).rejects.toThrow(`TSD-096 The worker job script ${script}`);
  },
);

it("a script that does not say how many workers a job brings is refused, unless none are wanted", async () => {
  const script = join(folder, "workers.sh");
  writeFileSync(script, "#!/bin/bash\n#SBATCH --nodes=2\nsrun tsdask-mpi --no-scheduler\n");
  const refusal = made({ batch: "slurm", script });
  await expect(refusal).rejects.toThrow(`TSD-203 ${script} does not say how many workers a job of it brings`);
  await expect(refusal).rejects.toThrow("--workers-per-job");
  await using told = await made({ batch: "slurm", script, workersPerJob: 16 });
  expect(told.perJob).toBe(16);
  await using none = await made({ batch: "slurm", script }, { expected: 0 });
  expect(none.submission.path).toBe(script);
});
