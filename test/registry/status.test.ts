import { describe, expect, test } from "vitest";
import { statusLines } from "../../src/commands/status-screen.ts";
import { silentOf, type Snapshot } from "../../src/registry/snapshot.ts";
import { extremes, hostsOf, tasksOf, waitsFor, workersOf, type JobStatus } from "../../src/registry/status.ts";

const GiB = 2 ** 30;

function snapshot(given: Partial<Snapshot>, workers: Readonly<Record<string, Record<string, unknown>>> = {}): Snapshot {
  return {
    at: 100,
    tasks: {},
    identity: { type: "Scheduler", id: "S", address: "tls://10.0.0.1:1", services: {}, workers },
    ...given,
  };
}

const newest = {
  name: "tsdask-2",
  host: "10.0.0.1",
  nthreads: 2,
  memory_limit: 4 * GiB,
  status: "running",
  metrics: {
    task_counts: { executing: 2, ready: 3 },
    cpu: 150,
    memory: 3 * GiB,
    spilled_bytes: { memory: 1, disk: 7 },
    event_loop_interval: 0.02,
  },
};
const oldest = {
  name: 3,
  host: "10.0.0.2",
  nthreads: 1,
  memory_limit: 4 * GiB,
  status: "paused",
  metrics: {
    executing: 1,
    ready: 0,
    cpu: 10,
    memory: GiB,
    spilled_nbytes: { memory: 1, disk: 5 },
    event_loop_interval: 1.5,
  },
};

describe("what a scheduler says", () => {
  const now = snapshot({ hosts: new Map([["10.0.0.1", "n1"]]) }, { "tls://a": newest, "tls://b": oldest });

  test("is read alike from the oldest and the newest Dask", () => {
    expect(workersOf(now)).toMatchObject([
      { name: "tsdask-2", host: "n1", running: 2, ready: 3, spilled: 7 },
      { name: "3", host: "10.0.0.2", running: 1, ready: 0, spilled: 5, status: "paused" },
    ]);
  });

  test("names the silent workers, with their hosts' names, and not more than people read", () => {
    const silent = silentOf([
      ["tsdask-2", "10.0.0.1", 25],
      ["3", "10.0.0.2", 90],
      ["4", "10.0.0.3", 90],
      ["5", "10.0.0.3", 90],
      "no row",
    ]);
    const view = { listed: undefined, title: "nightly", before: undefined, jobs: [] };
    const line = (given: Snapshot): string | undefined =>
      statusLines({ ...view, snapshot: given }).find((one) => one.startsWith("silent"));
    expect(line({ ...now, silent })).toContain(
      "tsdask-2 on n1 for 25 s, 3 on 10.0.0.2 for 1 min 30 s, 4 on 10.0.0.3 for 1 min 30 s, 1 more",
    );
    expect(line({ ...now, silent: silentOf(null) })).toBeUndefined();
  });

  test("is added up by host", () => {
    expect(hostsOf(workersOf(now))).toMatchObject([
      { host: "10.0.0.2", workers: 1, paused: 1, limit: 4 * GiB },
      { host: "n1", workers: 1, threads: 2, cpu: 150, paused: 0 },
    ]);
  });

  test("names the fullest and the slowest worker", () => {
    const { fullest, slowest } = extremes(workersOf(now));
    expect([fullest?.name, slowest?.name]).toEqual(["tsdask-2", "3"]);
  });

  test("gives a rate only from two looks", () => {
    const before = snapshot({ at: 98, finished: 10 });
    const after = snapshot({ at: 100, finished: 30, tasks: { memory: 5, waiting: 2 } });
    expect(tasksOf(after, before)).toMatchObject({ rate: 10, waiting: 2, inMemory: 5 });
    expect(tasksOf(after, undefined).rate).toBeUndefined();
  });
});

describe("what a cluster waits for", () => {
  const paused = workersOf(snapshot({}, { "tls://b": oldest }));
  const running = workersOf(snapshot({}, { "tls://a": newest }));
  const tasks = (states: Readonly<Record<string, number>>): ReturnType<typeof tasksOf> =>
    tasksOf(snapshot({ tasks: states }), undefined);

  test.each([
    [{ waiting: 3 }, [], /no worker is in/],
    [{ "no-worker": 2, processing: 1 }, running, /resources/],
    [{ queued: 2 }, paused, /all workers are paused/],
    [{ queued: 2 }, [...paused, ...running], /1 of 2 workers, which are paused/],
    [{ memory: 9 }, running, /a client/],
    [{ waiting: 3 }, running, /nothing runs/],
  ])("is said: %j", (states, workers, text) => expect(waitsFor(tasks(states), workers)).toMatch(text));

  test("is nothing while tasks run", () =>
    expect(waitsFor(tasks({ processing: 2, queued: 9 }), running)).toBeUndefined());
});

test("five hundred worker jobs that wait for the same are one line, a few are named", () => {
  const job = (n: number, state: JobStatus["state"]): JobStatus => ({
    system: "slurm",
    id: `5_${n}`,
    state,
    expected: 2,
  });
  const waiting = Array.from({ length: 500 }, (_, n) => ({ ...job(n + 1, "pending"), reason: "Resources" }));
  const jobs = [...waiting, job(501, "suspended"), job(502, "running")];
  const lines = statusLines({ listed: undefined, title: "c", snapshot: snapshot({}), before: undefined, jobs });
  expect(lines.filter((line) => line.startsWith("job "))).toEqual([
    "job        slurm 5_1, 5_2, 5_3 and 497 more, 1000 workers: pending (Resources)",
    "job        slurm 5_501, 2 workers: suspended",
    "job        slurm 5_502, 2 workers: running",
  ]);
});
