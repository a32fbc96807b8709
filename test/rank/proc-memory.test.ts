import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { ownMemory, residentBytes, sharedBytes } from "../../src/rank/proc-memory.ts";

const block = 64 * 2 ** 20;

test("what a process shares with its child is counted by halves, and a process that is gone has nothing", async () => {
  const program = `import os, sys, time
block = bytearray(os.urandom(1)) * ${block}
child = os.fork()
if child: print(child, flush=True)
sys.stdin.read()`;
  const parent = spawn("python3", ["-c", program], { stdio: ["pipe", "pipe", "ignore"] });
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const child = Number(line);
  const { now = 0, peak = 0 } = residentBytes(child) ?? {};
  expect(now).toBeGreaterThan(block);
  expect(peak).toBeGreaterThanOrEqual(now);
  expect(sharedBytes(child)).toBeGreaterThan(block / 2.2);
  expect(sharedBytes(child, block / 8)).toBeLessThan(sharedBytes(child) - block / 4);
  parent.stdin.end();
  await once(parent, "exit");
  expect(residentBytes(2 ** 22 + 1)).toBeUndefined();
  expect(sharedBytes(2 ** 22 + 1)).toBe(0);
});

test("what is shared is measured when a process is over its limit, and else every ten seconds", () => {
  const process = { resident: 70, shared: 50, now: 0, looks: 0 };
  const own = ownMemory({
    resident: () => process.resident,
    shared: (_, most = Infinity) => {
      process.looks += 1;
      return Math.min(process.shared, most);
    },
    now: () => process.now,
  });
  const look = (limit: number): readonly [own: number, looks: number] => [own(1, limit, 60), process.looks];
  expect(look(80)).toEqual([70, 0]);
  expect(look(60)).toEqual([20, 1]);
  process.now = 9_999;
  process.shared = 30;
  expect(look(60)).toEqual([20, 1]);
  process.now = 10_000;
  expect(look(60)).toEqual([40, 2]);
  // Growth counts at once, and what is told above the limit was measured now.
  process.resident = 95;
  process.shared = 40;
  expect(look(60)).toEqual([55, 3]);
  process.resident = 110;
  expect(look(60)).toEqual([70, 4]);
  // Another process has nothing of the last one's.
  process.now = 10_001;
  expect(own(2, 60, 60)).toBe(70);
  expect(process.looks).toBe(5);
  // What a task forks shares all that its worker has: that hides none of it.
  process.shared = 100;
  expect(own(2, 60, 30)).toBe(80);
});
