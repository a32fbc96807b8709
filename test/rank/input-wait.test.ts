import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { watchInput } from "../../src/rank/input-wait.ts";

let child: ChildProcess | undefined;
let unwatch: (() => void) | undefined;
afterEach(async () => {
  unwatch?.();
  if (child?.exitCode === null && child.signalCode === null) {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});

/** Starts a command whose stdin is a pipe; resolves when it is told that it waits, or with its exit. */
const fate = async (
  file: string,
  args: readonly string[],
  feed?: (child: ChildProcess) => void,
  after = 400,
): Promise<string> => {
  const started = spawn(file, args, { stdio: ["pipe", "pipe", "ignore"] });
  child = started;
  started.stdout.resume();
  feed?.(started);
  const { promise, resolve } = Promise.withResolvers<string>();
  unwatch = watchInput({ pid: started.pid ?? 0, after, every: 50, onWait: () => resolve("waits") });
  started.once("exit", () => resolve("ended"));
  return promise;
};

test("a Python that asks and gets no answer waits", async () => {
  expect(await fate("python3", ["-c", "input()"])).toBe("waits");
});

test("so does one that a shell has started", async () => {
  expect(await fate("sh", ["-c", "python3 -c 'input()'; true"])).toBe("waits");
});

test("one that computes, sleeps, or reads another pipe does not", async () => {
  expect(
    await fate("python3", [
      "-c",
      "import os, time, threading; r, w = os.pipe(); threading.Timer(1.5, os.write, (w, b'x')).start(); os.read(r, 1)",
    ]),
  ).toBe("ended");
});

test("one whose input comes slowly does not", async () => {
  // The lines are another process's: what keeps this one from looking keeps none of them back.
  const feed = "import time\nfor _ in range(60): print('line', flush=True); time.sleep(0.2)";
  const read = "import sys\nfor line in sys.stdin: pass";
  const words = ["-c", 'python3 -c "$0" | python3 -c "$1"', feed, read];
  expect(await fate("sh", words, undefined, 8_000)).toBe("ended");
});

test("nor one whose input is /dev/null or over", async () => {
  expect(
    await fate(
      "python3",
      ["-c", "import sys, time; sys.stdin.read(); time.sleep(1)"],
      (started) => void started.stdin?.end(),
    ),
  ).toBe("ended");
});
