import { expect, test } from "vitest";
import { collectUsage } from "../../src/cluster/usage.ts";

const facts = { code: 0, workers: 2, restarts: 1, telling: [2, 3], schedulerTells: true };
const worker = { k: "worker-usage", cpu: 1, threadSeconds: 4, threads: 2, peak: 100, limit: 1000 } as const;
const scheduler = { k: "scheduler-usage", clients: 1, tasks: 5, used: 2, seen: 2, spilled: 0, unrunnable: 0 } as const;

test("it waits for all who tell, adds up, and shows the worker that came nearest to its limit", async () => {
  const collector = collectUsage();
  collector.add(2, worker);
  const told = collector.whenTold(facts, 60_000);
  collector.add(3, { ...worker, peak: 90, limit: 100 });
  collector.add(0, scheduler);
  expect(await told).toEqual({
    workers: 2,
    restarts: 1,
    scheduled: { clients: 1, tasks: 5, used: 2, seen: 2, spilled: 0, unrunnable: 0 },
    worked: { cpu: 2, threadSeconds: 8, threads: 4, peak: 90, limit: 100 },
  });
});

test("after the deadline it goes on with what is known", async () => {
  const collector = collectUsage();
  collector.add(3, worker);
  expect(await collector.whenTold(facts, 1)).toEqual({
    workers: 2,
    restarts: 1,
    worked: { cpu: 1, threadSeconds: 4, threads: 2, peak: 100, limit: 1000 },
  });
});

test("it does not wait where nobody is left to tell", async () => {
  expect(await collectUsage().whenTold({ ...facts, telling: [], schedulerTells: false }, 60_000)).toEqual({
    workers: 2,
    restarts: 1,
  });
});
