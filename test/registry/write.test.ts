import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ClusterEntry } from "../../src/registry/cluster-entry.ts";
import { readEntries } from "../../src/registry/entry.ts";
import { statePaths } from "../../src/registry/place.ts";
import { registerCluster } from "../../src/registry/register.ts";
import { pendingLaunch, writeEntry } from "../../src/registry/write.ts";

const day = 86_400;
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsdask-registry-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const env = (): NodeJS.ProcessEnv => ({ XDG_STATE_HOME: join(folder, "deep/er") });

function entry(more: Partial<ClusterEntry>): ClusterEntry {
  return {
    format: 1,
    name: "nightly",
    launch: "abc.1",
    version: "0",
    state: "running",
    started: 1,
    pid: 1,
    startTime: "1",
    host: "h",
    machine: "m",
    hosts: ["h"],
    ranks: 3,
    workers: 1,
    cwd: "/",
    folder: "/",
    security: "tls",
    job: { system: "slurm", id: "7" },
    grace: 10,
    ...more,
  };
}

test("an entry is read as it was written, in a private file in a private folder", async () => {
  await writeEntry(entry({}), env());
  const { clusters } = statePaths(env());
  const [found] = await readEntries(clusters);
  expect(found?.entry).toEqual(entry({}));
  expect(statSync(found?.path ?? "").mode & 0o777).toBe(0o600);
  expect(statSync(clusters).mode & 0o777).toBe(0o700);
});

test("a cluster that serves is in the list once it has been entered, and one that has ended stays so", async () => {
  const { name: _name, ...facts } = entry({});
  const problems: unknown[] = [];
  const register = registerCluster(
    { ...facts, name: "served" },
    { env: env(), onProblem: (problem) => problems.push(problem) },
  );
  const found = { hosts: ["h1"], scheduler: { address: "tls://h1:1", id: "s", rank: 0 } };
  const states = async (): Promise<readonly string[]> =>
    (await readEntries(statePaths(env()).clusters)).map((one) => `${one.entry.name} ${one.entry.state}`);
  await register.running(found);
  expect(await states()).toEqual(["served running"]);
  await register.ended("its work was done", 0);
  await register.running(found);
  expect(await states()).toEqual(["served ended"]);
  expect(problems).toEqual([]);
});

test("a launch takes the place of the job that was submitted for it", async () => {
  await writeEntry(entry({ state: "pending", launch: pendingLaunch({ system: "slurm", id: "7" }) }), env());
  await writeEntry(entry({ state: "pending", launch: pendingLaunch({ system: "slurm", id: "8" }) }), env());
  await writeEntry(entry({}), env());
  const found = await readEntries(statePaths(env()).clusters);
  expect(found.map(({ entry: { launch } }) => launch).toSorted()).toEqual(["abc.1", "job-slurm-8"]);
});

test("a launch takes the place of its jobs that HTCondor calls by their common number, and of no others", async () => {
  for (const id of ["12", "120", "13.0"])
    await writeEntry(entry({ state: "pending", launch: pendingLaunch({ system: "htcondor", id }) }), env());
  await writeEntry(entry({ launch: "lead.1", job: { system: "htcondor", id: "12.0" } }), env());
  await writeEntry(entry({ launch: "alone.1", job: { system: "htcondor", id: "13.0" } }), env());
  const found = await readEntries(statePaths(env()).clusters);
  expect(found.map(({ entry: { launch } }) => launch).toSorted()).toEqual(["alone.1", "job-htcondor-120", "lead.1"]);
});

test("at an end what is older than a week goes, with its logs; what runs or waits in the queue stays however old", async () => {
  const { clusters, logs } = statePaths(env());
  await writeEntry(entry({ launch: "old-ended.1", state: "ended" }), env());
  await writeEntry(entry({ launch: "old-running.1" }), env());
  await writeEntry(entry({ launch: "old-pending.1", state: "pending", job: { system: "slurm", id: "8" } }), env());
  for (const name of ["old.1", "new.1"]) {
    mkdirSync(join(logs, name), { recursive: true });
    writeFileSync(join(logs, name, "hub.jsonl"), "{}\n");
  }
  const then = Date.now() / 1000 - 8 * day;
  for (const path of [
    ...readdirSync(clusters).map((name) => join(clusters, name)),
    join(logs, "old.1", "hub.jsonl"),
    join(logs, "old.1"),
  ])
    utimesSync(path, then, then);
  await writeEntry(entry({ launch: "last.1", state: "ended" }), env());
  const left = await readEntries(clusters);
  expect(left.map(({ entry: { launch } }) => launch).toSorted()).toEqual(["last.1", "old-pending.1", "old-running.1"]);
  expect([existsSync(join(logs, "old.1")), existsSync(join(logs, "new.1"))]).toEqual([false, true]);
});

test("a file that is none of ours is passed over", async () => {
  await writeEntry(entry({}), env());
  const { clusters } = statePaths(env());
  writeFileSync(join(clusters, "half~1.json"), '{"format": 1, "na', { mode: 0o600 });
  writeFileSync(join(clusters, "open~2.json"), JSON.stringify(entry({ launch: "open.1" })), { mode: 0o644 });
  expect(await readEntries(clusters)).toHaveLength(1);
});

test("logs beyond the most bytes go, but never those of a cluster that runs", async () => {
  const { clusters, logs } = statePaths(env());
  const ended = { state: "ended", ended: Date.now() / 1000 } as const;
  for (const [launch, more] of [
    ["runs.1", {}],
    ["ended.1", ended],
  ] as const) {
    await writeEntry(entry({ launch, ...more }), env());
    mkdirSync(join(logs, launch), { recursive: true });
    // Sparse: nothing is written.
    writeFileSync(join(logs, launch, "launch.record"), "");
    truncateSync(join(logs, launch, "launch.record"), 600_000_000);
  }
  rmSync(join(clusters, ".pruned"), { force: true });
  await writeEntry(entry({ ...ended, launch: "now.1" }), env());
  expect(readdirSync(logs)).toEqual(["runs.1"]);
});
