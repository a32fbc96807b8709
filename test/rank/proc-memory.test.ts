import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { residentBytes, sharedBytes } from "../../src/rank/proc-memory.ts";

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
  parent.stdin.end();
  await once(parent, "exit");
  expect(residentBytes(2 ** 22 + 1)).toBeUndefined();
  expect(sharedBytes(2 ** 22 + 1)).toBe(0);
});
