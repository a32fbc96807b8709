import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { workerMeter } from "../../src/rank/worker-meter.ts";

test("before a worker was ready there is nothing to tell", () => {
  expect(workerMeter().read(undefined)).toBeUndefined();
});

test("workers that follow each other are added up, with what the system says of those that have ended", () => {
  let now = 0;
  const meter = workerMeter(() => now);
  meter.ready({ pid: undefined, threads: 2, limit: 1000, shared: 0 });
  now = 3000;
  meter.ended({ cpu: 1.5, peak: 700 });
  meter.ended({ cpu: 9, peak: 900 });
  meter.ready({ pid: undefined, threads: 2, limit: 1000, shared: 0 });
  now = 5000;
  meter.ended({ cpu: 1, peak: 400 });
  expect(meter.read(undefined)).toEqual({ cpu: 2.5, threadSeconds: 10, threads: 2, peak: 700, limit: 1000 });
});

test("of one that runs it reads processor and memory, those of what it started included", async () => {
  const program =
    "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'x = bytearray(10**8); import time; t = time.process_time()\\nwhile time.process_time() - t < 0.5: pass\\nprint(1, flush=True); time.sleep(60)'])\ntime.sleep(60)";
  const child = spawn("python3", ["-c", program], { stdio: ["ignore", "pipe", "ignore"], detached: true });
  const meter = workerMeter();
  meter.ready({ pid: child.pid, threads: 1, limit: 0, shared: 0 });
  await once(child.stdout, "data");
  const use = meter.read(child.pid);
  process.kill(-(child.pid ?? 0), "SIGKILL");
  await once(child, "exit");
  expect(use?.cpu).toBeGreaterThan(0.4);
  expect(use?.peak).toBeGreaterThan(100_000_000);
});
