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
const fate = async (file: string, args: readonly string[], feed?: (child: ChildProcess) => void): Promise<string> => {
  const started = spawn(file, args, { stdio: ["pipe", "pipe", "ignore"] });
  child = started;
  started.stdout.resume();
  feed?.(started);
  const { promise, resolve } = Promise.withResolvers<string>();
  unwatch = watchInput({ pid: started.pid ?? 0, after: 400, every: 50, onWait: () => resolve("waits") });
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
  const feed = (started: ChildProcess): void => {
    let lines = 0;
    const timer = setInterval(() => {
      lines += 1;
      if (lines < 12) started.stdin?.write("line\n");
      else {
        clearInterval(timer);
        started.stdin?.end();
      }
    }, 100);
  };
  expect(await fate("python3", ["-c", "import sys\nfor line in sys.stdin: pass"], feed)).toBe("ended");
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
