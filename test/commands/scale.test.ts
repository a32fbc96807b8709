import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockJobList, readJobList, writeJobList, type ListedJob } from "../../src/batch/job-list.ts";
import { markOf } from "../../src/batch/mark.ts";
import { scaleCommand } from "../../src/commands/scale.ts";
import { writeSchedulerFile } from "../../src/dask/scheduler-file.ts";
import { deadlines } from "../../src/deadlines.ts";

const changed: { schedulerCall: number } = deadlines;
const { schedulerCall } = deadlines;
const key = "0123456789abcdef0123456789abcdef";
const groups = ["gpu", "io"];

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tsdask-scale-"))));
afterEach(() => {
  changed.schedulerCall = schedulerCall;
  rmSync(folder, { recursive: true });
});

const list = (group?: string): string => join(folder, group === undefined ? "jobs" : `jobs-${group}`);
const listed = async (): Promise<readonly string[]> =>
  (await Promise.all([list(), ...groups.map(list)].map(readJobList))).flatMap(({ jobs }) => jobs.map(({ id }) => id));
/** What scancel was called with, in no order: the lists have none. */
const cancelled = (): readonly string[] => {
  const file = join(folder, "cancelled");
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").toSorted() : [];
};

/** `scale 0` of a cluster at this port, with a Slurm job of its own (12) and one of each group (13, 14). */
async function scaleToZero(port: number): Promise<{ readonly code: number; readonly said: string }> {
  const schedulerFile = join(folder, "scheduler.json");
  await writeSchedulerFile(schedulerFile, {
    ...{ type: "Scheduler", id: "S", address: `tcp://127.0.0.1:${port}`, services: {}, started: 1, workers: {} },
    tsdask: {
      ...{ version: "0.1.0", launch: "3f9c", pid: 1, host: "h", hub: { addresses: [], fingerprint: "" }, folder },
      ...{ dashboard: null, jupyter: null, hosts: ["h"], security: "none", started: 1 },
      groups: groups.map((name) => ({ name, resources: { [name]: 1 }, options: {} })),
    },
  });
  const job = { system: "slurm", host: hostname(), submitted: 1, expected: 1, joined: true } as const;
  const write = (path: string, id: string): Promise<boolean> =>
    writeJobList(path, { key, jobs: [{ ...job, id } satisfies ListedJob] });
  await Promise.all([write(list(), "12"), write(list("gpu"), "13"), write(list("io"), "14")]);
  const command = (name: string, lines: string): void =>
    writeFileSync(join(folder, name), `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
  command("squeue", ["12", "13", "14"].map((id) => `echo "${id}|${id}|${markOf(key)}"`).join("\n"));
  command("scancel", `echo "$@" >> ${folder}/cancelled`);
  let said = "";
  const out = { write: (text: string): void => void (said += text) };
  const env = { HOME: folder, PATH: `${folder}:/usr/bin:/bin` };
  const words = ["0", schedulerFile, "--security", "none", "--batch", "slurm", "--script", import.meta.filename];
  const code = await scaleCommand(words, { env, cwd: folder, stdout: out, stderr: out });
  return { code, said };
}

/** Listens at a port, and answers nothing. */
async function silentPort(): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("scale 0 of a cluster that has gone cancels what is listed, and leaves lists of which another command takes care", async () => {
  const listener = await silentPort();
  await listener[Symbol.asyncDispose]();
  await using _adapt = await lockJobList(list("gpu"), "adapt");
  const { code, said } = await scaleToZero(listener.port);
  expect([code, cancelled(), await listed()]).toEqual([0, ["12", "14"], ["13"]]);
  expect(said).toMatch(/tsdask-mpi: the scheduler does not answer; 2 jobs \(1[24], 1[24]\) cancelled\.\n/);
  expect(said).toMatch(/tsdask-mpi: the jobs of group gpu stay: TSD-098 Another `tsdask-mpi adapt` \(process \d+ on /);
});

test("scale 0 cancels nothing beside a scheduler that is too busy to answer", async () => {
  changed.schedulerCall = 300;
  await using listener = await silentPort();
  await expect(scaleToZero(listener.port)).rejects.toMatchObject({ code: "TSD-075" });
  expect([cancelled(), await listed()]).toEqual([[], ["12", "13", "14"]]);
});
