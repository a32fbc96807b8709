import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
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
