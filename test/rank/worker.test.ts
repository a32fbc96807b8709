import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import type { RankEvent } from "../../src/protocol/messages.ts";
import { superviseWorker, terminateBytes, type WorkerSupervision } from "../../src/rank/worker.ts";

it("what a worker used that has just ended by itself is told once its exit says so", async () => {
  const told: RankEvent[] = [];
  let happens: Parameters<WorkerSupervision["start"]>[1] = () => undefined;
  const { pid } = spawnSync("true");
  const worker = superviseWorker({
    ...{ request: { kind: "worker", params: {}, cpu_count: 2, memory_limit: 1000, sys_path: [] }, host: "h" },
    ...{ restarts: 0, schedulerReturns: false, terminateAt: 0 },
    start: (_, onEvent) => {
      happens = onEvent;
      return { pid: () => pid, tell: () => undefined, kill: () => undefined };
    },
    report: (event) => told.push(event),
    lastWords: () => "",
  });
  happens({ event: "ready", address: "tls://h:1", name: "1", nthreads: 2, memory_limit: 1000, pid });
  happens({ event: "closing", reason: "scheduler-closed" });
  const usage = (): RankEvent[] => told.filter(({ k }) => k === "worker-usage");
  const end = worker.end(1);
  expect(usage()).toEqual([]);
  happens({ event: "exit", code: 0, signal: null, cpu: 3, peak: 700 });
  await end;
  expect(usage()).toMatchObject([{ cpu: 3, peak: 700, threads: 2, limit: 1000 }]);
});

it("a worker is ended at the fraction of its limit that its Dask configuration names, or never", () => {
  const at = (terminate: unknown, planned = 950): number => terminateBytes({ terminate, limit: 1000, planned });
  expect([at(0.5), at(0.95), at(false), at(0), at(null), at("x"), at(undefined)]).toEqual([
    500, 950, 0, 0, 950, 950, 950,
  ]);
  expect(at(0.5, 0)).toBe(0);
  expect(terminateBytes({ terminate: 0.5, limit: 0, planned: 950 })).toBe(950);
});

describe("a worker that cannot start", () => {
  const supervised = (): {
    happens: Parameters<WorkerSupervision["start"]>[1];
    told: RankEvent[];
    starts: () => number;
  } => {
    const told: RankEvent[] = [];
    const heard: Parameters<WorkerSupervision["start"]>[1][] = [];
    superviseWorker({
      ...{ request: { kind: "worker", params: {}, cpu_count: 2, memory_limit: 1000, sys_path: [] }, host: "h7" },
      ...{ restarts: 3, schedulerReturns: false, terminateAt: 0 },
      start: (_, onEvent) => {
        heard.push(onEvent);
        return { pid: () => process.pid, tell: () => undefined, kill: () => undefined };
      },
      report: (event) => told.push(event),
      lastWords: () => "",
    });
    return { happens: (event) => heard.at(-1)?.(event), told, starts: () => heard.length };
  };
  const failed = { event: "failed", code: "folder", message: "[Errno 2] … '/scratch'", traceback: "" } as const;
  const exit = { event: "exit", code: 1, signal: null, cpu: 0, peak: 0 } as const;

  it("ends the launch with the reason, and is not tried again", () => {
    const { happens, told, starts } = supervised();
    happens(failed);
    happens(exit);
    expect(told).toMatchObject([{ k: "failure", code: "TSD-207", exit: 69, facts: { host: "h7" } }]);
    expect(String((told[0] as { facts: Record<string, unknown> }).facts["cure"])).toContain("--local-directory");
    expect(starts()).toBe(1);
  });

  it("is lost as any other when it had been in, or when another try may help", () => {
    const later = supervised();
    later.happens({
      event: "ready",
      address: "tls://h:1",
      name: "1",
      nthreads: 2,
      memory_limit: 1000,
      pid: process.pid,
    });
    later.happens(failed);
    later.happens(exit);
    const timeout = supervised();
    timeout.happens({ ...failed, code: "timeout" });
    timeout.happens(exit);
    for (const { told } of [later, timeout])
      expect(told.at(-1)).toMatchObject({ k: "worker-lost", restarting: true, why: failed.message });
  });
});
