import { spawnSync } from "node:child_process";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { RankEvent } from "../../src/protocol/messages.ts";
import { endChild } from "../../src/rank/child.ts";
import { superviseWorker, terminateBytes, type WorkerSupervision } from "../../src/rank/worker.ts";

const ready = {
  ...({ event: "ready", kind: "worker", address: "tls://h:1", name: "1" } as const),
  ...{ dashboard: null, nthreads: 2, memory_limit: 1000, terminate: 0.95, shared: null },
};

it("what a worker used that has just ended by itself is told once its exit says so", async () => {
  const told: RankEvent[] = [];
  let happens: Parameters<WorkerSupervision["start"]>[1] = () => undefined;
  const { pid } = spawnSync("true");
  const worker = superviseWorker({
    ...{
      request: { kind: "worker", params: {}, cpu_count: 2, memory_limit: 1000, sys_path: [] },
      host: "h",
      python: "p",
    },
    ...{ restarts: 0, schedulerReturns: false, terminateAt: 0 },
    start: (_, onEvent) => {
      happens = onEvent;
      return { pid: () => pid, tell: () => undefined, kill: () => undefined };
    },
    report: (event) => told.push(event),
    lastWords: () => "",
  });
  happens(ready);
  happens({ event: "closing", reason: "scheduler-closed" });
  const usage = (): RankEvent[] => told.filter(({ k }) => k === "worker-usage");
  const end = worker.end(1);
  expect(usage()).toEqual([]);
  happens({ event: "exit", code: 0, signal: null, cpu: 3, peak: 700 });
  await end;
  expect(usage()).toMatchObject([{ cpu: 3, peak: 700, threads: 2, limit: 1000 }]);
});

describe("a child that does not end", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each([10, 30 * 86_400])("is killed after its grace, and no earlier: %i s", async (grace) => {
    vi.useFakeTimers();
    const kill = vi.fn();
    const end = endChild({ tell: () => undefined, kill }, grace, () => undefined);
    vi.advanceTimersByTime(grace * 1000 - 1);
    expect(kill).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(kill).toHaveBeenCalledWith("SIGKILL");
    vi.advanceTimersByTime(1000);
    await end;
    expect(vi.getTimerCount()).toBe(0);
  });
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
  const supervised = (
    lastWords = "",
  ): {
    happens: Parameters<WorkerSupervision["start"]>[1];
    told: RankEvent[];
    starts: () => number;
  } => {
    const told: RankEvent[] = [];
    const heard: Parameters<WorkerSupervision["start"]>[1][] = [];
    superviseWorker({
      ...{
        request: { kind: "worker", params: {}, cpu_count: 2, memory_limit: 1000, sys_path: [] },
        host: "h7",
        python: "/env/bin/python",
      },
      ...{ restarts: 3, schedulerReturns: false, terminateAt: 0 },
      start: (_, onEvent) => {
        heard.push(onEvent);
        return { pid: () => process.pid, tell: () => undefined, kill: () => undefined };
      },
      report: (event) => told.push(event),
      lastWords: () => lastWords,
    });
    return { happens: (event) => heard.at(-1)?.(event), told, starts: () => heard.length };
  };
  const failed = { event: "failed", code: "folder", message: "[Errno 2] … '/scratch'" } as const;
  const exit = { event: "exit", code: 1, signal: null, cpu: 0, peak: 0 } as const;

  it("ends the launch with the reason, and is not tried again", () => {
    const { happens, told, starts } = supervised();
    happens(failed);
    happens(exit);
    expect(told).toMatchObject([{ k: "failure", code: "TSD-207", exit: 69, facts: { host: "h7" } }]);
    expect(String((told[0] as { facts: Record<string, unknown> }).facts["cure"])).toContain("--local-directory");
    expect(starts()).toBe(1);
  });

  it.each([
    [{ code: null, signal: 9 }, "", "killed"],
    [{ code: 1, signal: null }, "numpy._core._exceptions._ArrayMemoryError: no room", "memory"],
    [{ code: 1, signal: null }, "512 MiB were read; nobody sent SIGKILL", undefined],
  ])("is lost for what is known of it: %j %j", (how, words, cause) => {
    const { happens, told } = supervised(words);
    happens({ ...exit, ...how });
    const lost = { k: "worker-lost", why: expect.any(String) as string, restarting: true };
    expect(told).toEqual([cause === undefined ? lost : { ...lost, cause }]);
  });

  it("for want of what keeps strangers out ends the launch with that message", () => {
    const { happens, told, starts } = supervised();
    happens({ event: "failed", code: "incompatible", message: "distributed 2099.1.0 has no x" });
    happens(exit);
    const facts = { host: "h7", python: "/env/bin/python", problem: "distributed 2099.1.0 has no x" };
    expect(told).toEqual([{ k: "failure", code: "TSD-179", exit: 69, facts }]);
    expect(starts()).toBe(1);
  });

  it("is lost as any other when it had been in, or when another try may help", () => {
    const later = supervised();
    later.happens(ready);
    later.happens(failed);
    later.happens(exit);
    const timeout = supervised();
    timeout.happens({ ...failed, code: "timeout" });
    timeout.happens(exit);
    for (const { told } of [later, timeout])
      expect(told.at(-1)).toMatchObject({ k: "worker-lost", restarting: true, why: failed.message });
  });
});
