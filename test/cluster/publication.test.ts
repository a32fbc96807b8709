import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isOver } from "../../src/cluster/publication.ts";
import type { ClusterRecord } from "../../src/dask/scheduler-file.ts";
import { writeEntry } from "../../src/registry/write.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsdask-publication-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const env = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({ XDG_STATE_HOME: join(folder, "state"), ...more });

const record = (more: Partial<ClusterRecord> = {}): ClusterRecord => ({
  version: "0",
  launch: "abc.1",
  pid: 1,
  host: "node7",
  hub: { addresses: [], fingerprint: "" },
  folder,
  dashboard: null,
  jupyter: null,
  hosts: ["node7"],
  security: "tls",
  job: { system: "slurm", id: "7" },
  started: 1000,
  ...more,
});

test("a cluster that cannot be reached is over where the user's list says so, and nowhere else", async () => {
  expect(await isOver(record(), env())).toBe(false);
  const { version, launch, pid, host, hosts, security, started } = record();
  const entry = {
    ...{ version, launch, pid, host, hosts, folder, security, started },
    format: 1,
    name: "nightly",
    state: "ended",
    code: 0,
    ended: Date.now() / 1000,
    startTime: "1",
    machine: "elsewhere 1",
    ranks: 3,
    workers: 1,
    cwd: folder,
    job: { system: "local" },
    grace: 10,
  } as const;
  await writeEntry(entry, env());
  expect(await isOver(record(), env())).toBe(true);
  expect(await isOver(record({ launch: "def.1" }), env())).toBe(false);
});

test("what a job's former run has written is over, and not what another cluster of this run has", async () => {
  const job = { SLURM_JOB_ID: "7", SLURM_JOB_START_TIME: "2000" };
  const again = { ...job, SLURM_RESTART_COUNT: "1" };
  expect(await isOver(record(), env(again))).toBe(true);
  expect(await isOver(record({ started: 2001 }), env(again))).toBe(false);
  expect(await isOver(record(), env(job))).toBe(false);
  expect(await isOver(record({ job: { system: "slurm", id: "8" } }), env(again))).toBe(false);
});
