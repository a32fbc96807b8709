import { statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { becomeLeader, removeHostFolder } from "../../src/host/election.ts";
import { hostPaths } from "../../src/launcher/host-paths.ts";
import { privateFolder } from "../../src/security/private-files.ts";

const pathsFor = (key: string) => hostPaths({ key, tmpdir: tmpdir(), uid: process.getuid?.() ?? 0 });

test("a rank that gets no processor for longer than it asks for a leader does not take the lead from the one there is", async () => {
  const paths = pathsFor("busy");
  const leader = await becomeLeader(paths);
  const { ino } = statSync(paths.socket);
  const second = becomeLeader(paths);
  // Each turn of the loop takes longer than the deadline, as where others have the processor.
  const until = performance.now() + 3_000;
  const stall = (): void => {
    for (const end = performance.now() + 600; performance.now() < end; );
    if (performance.now() < until) setImmediate(stall);
  };
  setImmediate(stall);
  expect(await second).toBeUndefined();
  expect(statSync(paths.socket).ino).toBe(ino);
  leader?.close();
  removeHostFolder(paths);
});

/** Listens with the shortest queue for connections there is, and takes none before its word changes. */
const busyLeader = `
const { workerData: { path, word } } = require("node:worker_threads");
require("node:net").createServer((socket) => socket.destroy()).listen({ path, backlog: 1 }, () => {
  const flags = new Int32Array(word);
  Atomics.store(flags, 0, 1);
  Atomics.wait(flags, 1, 0);
});
`;

test("a leader with more ranks at its door than the system lets wait stays the leader", async () => {
  const paths = pathsFor("crowded");
  for (const folder of [paths.base, paths.folder]) privateFolder(folder);
  const word = new SharedArrayBuffer(8);
  const flags = new Int32Array(word);
  const leader = new Worker(busyLeader, { eval: true, workerData: { path: paths.socket, word } });
  while (Atomics.load(flags, 0) === 0) await sleep(10);
  const { ino } = statSync(paths.socket);
  const waiting = Array.from({ length: 8 }, () => connect(paths.socket).on("error", () => undefined));
  await sleep(50);
  const rank = becomeLeader(paths);
  await sleep(200);
  expect(statSync(paths.socket).ino).toBe(ino);
  Atomics.store(flags, 1, 1);
  Atomics.notify(flags, 1);
  expect(await rank).toBeUndefined();
  expect(statSync(paths.socket).ino).toBe(ino);
  for (const socket of waiting) socket.destroy();
  await leader.terminate();
  removeHostFolder(paths);
});
