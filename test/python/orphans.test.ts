import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { endLeftBehind, scriptMark } from "../../src/rank/orphans.ts";
import { alive, pythons, until } from "./host.ts";

// It has shared memory and minds no SIGTERM; its resource tracker, a process of its own with the same environment,
// minds none either.
const stubborn = `
import signal, time
from multiprocessing import resource_tracker, shared_memory
signal.signal(signal.SIGTERM, signal.SIG_IGN)
memory = shared_memory.SharedMemory(create=True, size=4096)
print(memory.name, resource_tracker._resource_tracker._pid, flush=True)
time.sleep(600)`;

test.each(pythons())("what a script left is killed, and its shared memory goes with it: %s", async (python) => {
  const mark = randomUUID();
  const left = spawn(python, ["-c", stubborn], {
    env: { ...process.env, [scriptMark]: mark },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(left, "exit");
  const [line] = (await once(createInterface(left.stdout), "line")) as [string];
  const [name = "", tracker = ""] = line.split(" ");
  expect(existsSync(`/dev/shm/${name}`)).toBe(true);
  const names = await endLeftBehind(mark);
  expect(names.length).toBe(2);
  expect(await ended).toEqual([null, "SIGKILL"]);
  // Whoever inherits it may not have taken its exit code yet.
  await until(() => !alive(Number(tracker)), "the tracker's end");
  expect(existsSync(`/dev/shm/${name}`)).toBe(false);
});
