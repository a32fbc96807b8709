import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
// @ts-expect-error: a script in plain JavaScript.
import { python, typescript } from "../../scripts/contract.mjs";
import { acceptChildEvent, acceptServerEvent } from "../../src/protocol/fork-server.ts";

const text = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

describe("what npm run contract writes is fresh", () => {
  test("for TypeScript", () => {
    expect((typescript as () => string)()).toBe(text("src/protocol/fork-server.ts"));
  });
  test("for Python", () => {
    expect((python as () => string)()).toBe(text("python/tsdask_mpi/contract.py"));
  });
});

const worker = {
  ...{ event: "ready", kind: "worker", address: "tcp://10.0.0.1:2", name: "w", dashboard: 1, nthreads: 2 },
  ...{ memory_limit: 1e12, terminate: 0.95, shared: 40_000_000 },
};

describe("a message of the fork server or of a child", () => {
  test.each([
    { event: "forked", pid: 12 },
    { event: "closing", reason: "restart" },
    { event: "exit", code: null, signal: 9, cpu: 0.5, peak: 1 },
    { event: "ready", kind: "scheduler", address: "tcp://10.0.0.1:1", identity: {}, dashboard: 8787, https: false },
    { ...worker, dashboard: null },
    { event: "failed", code: "port", message: "m", more: "is passed over" },
  ])("%j is taken", (message) => {
    expect(acceptChildEvent(message)).toBe(message);
  });

  test.each([
    null,
    [],
    "closing",
    { event: "closing" },
    { event: "closing", reason: "no word of ours" },
    { event: "forked", pid: "12" },
    { event: "forked", pid: 1.5 },
    { event: "exit", code: 0 },
    { event: "ready" },
    { ...worker, kind: "scheduler" },
    { ...worker, kind: "nanny" },
    { ...worker, name: undefined },
    { ...worker, address: undefined },
    { event: "constructor" },
    { event: "__proto__" },
    { event: "refused", reason: null, message: "m" },
  ])("%j is none", (value) => {
    expect(acceptChildEvent(value)).toBeUndefined();
  });

  test("the greeting has a version, and lists are checked to their items", () => {
    const ready = {
      event: "ready",
      python: "3.11.2",
      executable: "/usr/bin/python3",
      dask: "2026.8.0",
      distributed: "2026.8.0",
      seconds: 0.5,
      threads: 1,
      packages: { tornado: "6.6" },
      hidden: [["random", "/home/a/random.py"]],
      missing: [],
      newest_tested: null,
    };
    expect(acceptServerEvent({ event: "listening", version: 1 })).toBeDefined();
    expect(acceptServerEvent({ event: "listening" })).toBeUndefined();
    expect(acceptServerEvent(ready)).toBeDefined();
    expect(acceptServerEvent({ ...ready, packages: { tornado: 6 } })).toBeUndefined();
    expect(acceptServerEvent({ ...ready, hidden: [["random"]] })).toBeUndefined();
    expect(acceptServerEvent({ ...ready, missing: [1] })).toBeUndefined();
    expect(acceptServerEvent({ ...ready, newest_tested: undefined })).toBeUndefined();
  });
});
