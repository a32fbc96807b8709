import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ChildEvent } from "../../src/protocol/fork-server.ts";
import { startChild } from "../../src/rank/child.ts";

test("a child that is killed before its pid is known is killed as soon as it is", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tsdask-child-"));
  const forked = spawn("sleep", ["100"], { stdio: "ignore" });
  const ended = once(forked, "exit");
  const asked = Promise.withResolvers<(line: string) => void>();
  const server = createServer((connection) => {
    connection.on("error", () => undefined);
    connection.once("data", (data) => {
      if (data.includes('"op":"fork"')) asked.resolve((line) => connection.write(`${line}\n`));
    });
  });
  const forkSocket = join(folder, "fork.sock");
  await new Promise<void>((resolve) => server.listen(forkSocket, resolve));
  const over = Promise.withResolvers<void>();
  const child = startChild({
    id: "1",
    request: { kind: "worker", cpu_count: 1, memory_limit: null, sys_path: [], params: {} } as never,
    env: {},
    cwd: folder,
    forkSocket,
    python: "python3",
    pythonRoot: folder,
    output: (stream) => void stream.resume(),
    onEvent: ({ event }) => event === "exit" && over.resolve(),
  });
  try {
    const say = await asked.promise;
    child.kill("SIGKILL");
    say(JSON.stringify({ event: "forked", pid: forked.pid }));
    expect(await ended).toEqual([null, "SIGKILL"]);
    say(JSON.stringify({ event: "exit", code: null, signal: 9 }));
    await over.promise;
  } finally {
    forked.kill("SIGKILL");
    server.close();
    rmSync(folder, { recursive: true });
  }
});

/** Starts a Python of its own in this environment: what is told by the time `startChild` returns, and in all. */
async function startOwn(env: Record<string, string>): Promise<{ readonly atOnce: number; readonly events: unknown }> {
  const events: ChildEvent[] = [];
  startChild({
    id: "1",
    request: { kind: "worker", cpu_count: 1, memory_limit: null, sys_path: [], params: {} } as never,
    env,
    cwd: tmpdir(),
    forkSocket: undefined,
    python: "/bin/true",
    pythonRoot: tmpdir(),
    output: (stream) => void stream.resume(),
    onEvent: (event) => void events.push(event),
  });
  const atOnce = events.length;
  await expect.poll(() => events.some(({ event }) => event === "exit")).toBe(true);
  return { atOnce, events };
}

/** What comes of a child that could not be started for `reason`. */
const notStarted = (reason: string) => ({
  atOnce: 0,
  events: [
    { event: "failed", code: "spawn", message: expect.stringContaining(reason) as string },
    { event: "exit", code: 127, signal: null },
  ],
});

test("a Python that cannot be started, which Node throws, is told by the usual events", async () => {
  // The system takes no more than 128 KiB in one variable.
  expect(await startOwn({ LONG: "x".repeat(200_000) })).toEqual(notStarted("E2BIG"));
});

test("a Python that is started while no file can be opened is told by the usual events", async () => {
  const limit = (soft: string) => `prlimit --pid ${process.pid} --nofile=${soft}:`;
  const lowest = Math.max(...readdirSync("/proc/self/fd").map(Number)) + 4;
  // Nothing can be started while it is so low: the shell waits until it is to be as before.
  const shell = spawn("sh", [
    "-c",
    `old=$(prlimit --pid ${process.pid} --nofile --noheadings --output SOFT | tr -d " "); ${limit(`${lowest}`)}; echo; read -r _; ${limit("$old")}`,
  ]);
  const ended = once(shell, "exit");
  const opened: number[] = [];
  try {
    await once(shell.stdout, "data");
    expect(() => {
      for (;;) opened.push(openSync("/dev/null", "r"));
    }).toThrow("EMFILE");
    expect(await startOwn({})).toEqual(notStarted("EMFILE"));
  } finally {
    shell.stdin.end("\n");
    await ended;
    for (const descriptor of opened) closeSync(descriptor);
  }
});
