import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { startForkServer } from "../../src/host/fork-server.ts";

const events = [
  { event: "listening", version: 2 },
  {
    event: "ready",
    python: "3.12.1",
    executable: "/usr/bin/python3",
    dask: "2026.8.0",
    distributed: "2026.8.0",
    seconds: 1,
    threads: 1,
    packages: {},
    hidden: [],
    missing: [],
    newest_tested: null,
  },
].map((event) => `echo '${JSON.stringify(event)}'`);

test("a script in Python's place may say something on its stdout: it is shown with the rest of its words", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tsdask-fork-server-"));
  const python = join(folder, "python");
  const [listening = "", ready = ""] = events;
  writeFileSync(python, ["#!/bin/sh", "echo Loading Python", listening, ready, "echo 12", "cat >/dev/null"].join("\n"));
  chmodSync(python, 0o755);
  const shown = Promise.withResolvers<NodeJS.ReadableStream>();
  const server = startForkServer({
    python,
    pythonRoot: folder,
    socket: join(folder, "fork.sock"),
    folder,
    pipes: [],
    warm: [],
    imports: true,
    env: { PATH: process.env["PATH"] ?? "" },
    cwd: folder,
    stderr: shown.resolve,
  });
  const told = Promise.withResolvers<string>();
  server.onReady(({ dask }) => told.resolve(dask));
  server.onFailed(({ message }) => told.reject(new Error(message)));
  expect(await told.promise).toBe("2026.8.0");
  const words = await shown.promise;
  const ended = text(words);
  process.kill(server.pid ?? 0, "SIGTERM");
  expect(await ended).toContain("Loading Python\n");
  rmSync(folder, { recursive: true });
});
