import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { decode, encode } from "@msgpack/msgpack";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isRecord } from "../../src/dask/comm.ts";
import { encodeFrames, frameDecoder } from "../../src/dask/frames.ts";
import { deadlines } from "../../src/deadlines.ts";
import { machine, startTime } from "../../src/launcher/process-mark.ts";
import type { ClusterEntry } from "../../src/registry/cluster-entry.ts";
import { credentialsOf } from "../../src/registry/credentials.ts";
import { readEntries } from "../../src/registry/entry.ts";
import { listClusters } from "../../src/registry/find.ts";
import { clearLeftovers, jobLeft } from "../../src/registry/leftovers.ts";
import { statePaths } from "../../src/registry/place.ts";
import { stopCluster } from "../../src/registry/stop.ts";
import { writeEntry } from "../../src/registry/write.ts";

const changed: { askCluster: number } = deadlines;

let folder = "";
beforeEach(() => {
  // A busy machine starts Slurm's commands late.
  changed.askCluster = 60_000;
  folder = mkdtempSync(join(tmpdir(), "tsdask-find-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const env = (): NodeJS.ProcessEnv => ({ XDG_STATE_HOME: join(folder, "state"), PATH: `${folder}/bin:/usr/bin:/bin` });

/** Slurm's commands as they answer on one of a site's systems: shell. */
function slurm(commands: Readonly<Record<string, string>>): void {
  mkdirSync(join(folder, "bin"), { recursive: true });
  for (const [name, does] of Object.entries(commands)) {
    writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${does}\n`);
    chmodSync(join(folder, "bin", name), 0o755);
  }
}

const unknownJob = 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1';
const named = (name: string): string => `echo "Configuration data"; echo "ClusterName             = ${name}"`;

/** A scheduler of this id, and what it was asked for. */
async function schedulerOf(
  id: string,
): Promise<AsyncDisposable & { readonly address: string; readonly asked: readonly string[] }> {
  const asked: string[] = [];
  const server = createServer((socket) => {
    const decoder = frameDecoder({ peer: "test" });
    const send = (message: unknown): void => void socket.write(encodeFrames([encode(message)]));
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      for (const [frame] of decoder.push(chunk)) {
        const said = frame === undefined ? undefined : decode(frame);
        if (!isRecord(said)) continue;
        if (said["op"] !== undefined) asked.push(String(said["op"]));
        send(said["op"] === undefined ? { "pickle-protocol": 5 } : { type: "Scheduler", id, address: "tcp://h:1" });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

/** A cluster in a job, on a host that cannot be asked. */
function entry(more: Partial<ClusterEntry> = {}): ClusterEntry {
  return {
    format: 1,
    name: "nightly",
    launch: "abc.1",
    version: "0",
    state: "running",
    started: Date.now() / 1000 - 60,
    pid: 1,
    startTime: "1",
    host: "node7",
    machine: "elsewhere 1",
    hosts: ["node7"],
    ranks: 3,
    workers: 1,
    cwd: folder,
    folder,
    security: "tls",
    job: { system: "slurm", id: "7", site: "alpha" },
    grace: 10,
    ...more,
  };
}

const written = async (): Promise<ClusterEntry | undefined> =>
  (await readEntries(statePaths(env()).clusters))[0]?.entry;

test("a job is gone where its own batch system says so, and written down as ended", async () => {
  slurm({ squeue: unknownJob, scontrol: named("Alpha") });
  await writeEntry(entry(), env());
  expect((await listClusters(env()))[0]).toMatchObject({ state: "ended", why: "its job is gone without a word" });
  expect(await written()).toMatchObject({ state: "ended" });
});

test("another system with the same homes does not know the job: that says nothing, and cancels nothing", async () => {
  slurm({ squeue: unknownJob, scontrol: named("beta"), scancel: `touch ${folder}/cancelled` });
  await writeEntry(entry(), env());
  const [found] = await listClusters(env());
  expect(found).toMatchObject({ state: "unknown" });
  expect(await written()).toMatchObject({ state: "running" });
  if (found === undefined) throw new Error("it is not in the list");
  await expect(stopCluster(found, { now: false, env: env(), say: () => undefined })).rejects.toThrow("TSD-150");
  expect(existsSync(join(folder, "cancelled"))).toBe(false);
});

test("a pending job of another system stays pending", async () => {
  slurm({ squeue: unknownJob, scontrol: named("beta") });
  await writeEntry(entry({ state: "pending", startTime: "", machine: "" }), env());
  expect((await listClusters(env()))[0]).toMatchObject({ state: "pending" });
});

test("a cancelled job is gone although its batch system takes longer to say so than a table waits", async () => {
  changed.askCluster = 500;
  const go = join(folder, "go");
  const late = `until [ -e ${go} ]; do sleep 0.05; done; sleep 1.6; ${unknownJob}`;
  slurm({ squeue: late, scontrol: named("alpha"), scancel: `touch ${folder}/cancelled` });
  await writeEntry(entry({ state: "pending", startTime: "", machine: "", grace: 0 }), env());
  const [found] = await listClusters(env());
  writeFileSync(go, "");
  if (found === undefined) throw new Error("it is not in the list");
  expect(found).toMatchObject({ state: "pending" });
  const stopped = await stopCluster(found, { now: false, env: env(), say: () => undefined });
  expect(stopped).toBe("its job, slurm 7, was cancelled");
});

test("a cluster that ends in order while it is asked keeps its own last word", async () => {
  const asked = join(folder, "asked");
  const go = join(folder, "go");
  const waits = `touch ${asked}; until [ -e ${go} ]; do sleep 0.05; done`;
  slurm({ squeue: `${waits}; ${unknownJob}`, scontrol: named("alpha") });
  await writeEntry(entry(), env());
  const listing = listClusters(env());
  await expect.poll(() => existsSync(asked), { timeout: 60_000 }).toBe(true);
  await writeEntry(entry({ state: "ended", why: "the script ended", code: 0, ended: Date.now() / 1000 }), env());
  writeFileSync(go, "");
  const [found] = await listing;
  expect(found).toMatchObject({ state: "ended", why: "the script ended", entry: { code: 0 } });
  expect(found?.lost).toBeUndefined();
  expect(await written()).toMatchObject({ code: 0, why: "the script ended" });
});

const cleared = async (one: ClusterEntry): Promise<boolean> =>
  clearLeftovers(one, { env: env(), job: await jobLeft(one, env()) });

test("nothing is cleared away of what lives, or whose job is still there", async () => {
  slurm({ squeue: 'echo "7|7|RUNNING|None"', scontrol: named("alpha") });
  const own = { pid: process.pid, startTime: startTime(process.pid), machine: machine(), host: hostname() };
  const place = join(folder, ".tsdask-0123456789abcdef");
  const ended = { state: "ended", why: "its job is gone without a word", folder: place } as const;
  const owner = (of: { readonly pid: number; readonly startTime: string }): void => {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "owner"), JSON.stringify({ pid: of.pid, startTime: of.startTime }));
  };
  owner(own);
  expect(await cleared(entry({ ...ended, ...own }))).toBe(false);
  owner(entry());
  expect(await cleared(entry(ended))).toBe(false);
  expect(existsSync(place)).toBe(true);
  slurm({ squeue: unknownJob });
  expect(await cleared(entry(ended))).toBe(true);
  expect(existsSync(place)).toBe(false);
});

test("a cluster in a folder of any name is in the list", async () => {
  await writeEntry(
    entry({ state: "ended", code: 1, cwd: "/a\tb\n", folder: "/a\tb\n", why: "s\u001b.py failed" }),
    env(),
  );
  expect((await listClusters(env())).map(({ entry: { cwd } }) => cwd)).toEqual(["/a\tb\n"]);
});

test("a host of the same name that runs for longer than the cluster is another one", async () => {
  slurm({ squeue: unknownJob, scontrol: named("beta") });
  await writeEntry(entry({ host: hostname(), machine: "another-boot 1", job: { system: "local" } }), env());
  expect((await listClusters(env()))[0]).toMatchObject({ state: "unknown" });
});

test("a folder whose file system hangs is not read: that would hold up the list for ever", async () => {
  slurm({ squeue: unknownJob, scontrol: named("beta"), cat: "exec sleep 600" });
  // Nothing is there: who reads it is told so at once.
  const one = entry({ scheduler: { address: "tls://127.0.0.1:1", id: "s", rank: 0 } });
  await expect(credentialsOf(one, { env: env(), deadline: 300 })).rejects.toThrow(/its file system does not answer/);
  await writeEntry(one, env());
  changed.askCluster = 300;
  expect((await listClusters(env()))[0]).toMatchObject({ state: "unknown", why: "its host cannot be asked from here" });
});

test("a cluster that has another one's former address is not told to end in its place", async () => {
  slurm({ squeue: unknownJob, scontrol: named("beta") });
  await using scheduler = await schedulerOf("theirs");
  const stop = (id: string): Promise<string> => {
    const one = entry({ security: "none", grace: 0, scheduler: { address: scheduler.address, id, rank: 0 } });
    const path = join(folder, "not-in-the-list.json");
    return stopCluster({ entry: one, path, state: "running" }, { now: false, env: env(), say: () => undefined });
  };
  await expect(stop("ours")).rejects.toThrow(/TSD-150.*nobody can be told/);
  expect(scheduler.asked).toEqual(["identity"]);
  expect(await stop("theirs")).toBe("");
  expect(scheduler.asked).toEqual(["identity", "identity", "tsdask_stop"]);
});
