import { chmod, lstat, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { identity } from "../../src/dask/rpc.ts";
import { readSchedulerFile } from "../../src/dask/read-scheduler-file.ts";
import { claimSchedulerFile } from "../../src/dask/claim-scheduler-file.ts";
import { removeSchedulerFile, writeSchedulerFile, type SchedulerFile } from "../../src/dask/scheduler-file.ts";
import { machine, startTime } from "../../src/launcher/process-mark.ts";
import { daskPythons, startDask } from "./real-dask.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tsdask-file-"));
  path = join(folder, "scheduler.json");
});
afterEach(() => rm(folder, { recursive: true }));

const content = (changes: Partial<SchedulerFile> = {}): SchedulerFile => ({
  type: "Scheduler",
  id: "Scheduler-1",
  address: "tls://127.0.0.1:1",
  services: {},
  started: 1,
  workers: {},
  tsdask: {
    version: "0.1.0",
    launch: "3f9c",
    pid: 1,
    host: "h1",
    hub: { addresses: ["127.0.0.1:2"], fingerprint: "00" },
    folder,
    dashboard: null,
    jupyter: null,
    hosts: ["h1"],
    security: "tls",
    started: 1,
  },
  ...changes,
});

describe("scheduler.json", () => {
  test("is read as it was written, mode 0600, and nothing lies beside it", async () => {
    await writeSchedulerFile(path, content());
    expect(await readSchedulerFile(path)).toEqual(content());
    expect(((await lstat(path)).mode & 0o777).toString(8)).toBe("600");
    expect(await readdir(folder)).toEqual(["scheduler.json"]);
  });

  test("of plain Dask is read too", async () => {
    await writeFile(
      path,
      JSON.stringify({
        type: "Scheduler",
        id: "S-1",
        address: "tcp://10.0.0.1:8786",
        services: { dashboard: 8787 },
        started: 1.5,
        workers: {},
        n_workers: 0,
      }),
    );
    expect(await readSchedulerFile(path)).toMatchObject({ id: "S-1", address: "tcp://10.0.0.1:8786" });
  });

  test("is removed by its own launch only", async () => {
    await writeSchedulerFile(path, content());
    expect(await removeSchedulerFile(path, "another")).toBe(false);
    expect(await readFile(path, "utf8")).toContain("3f9c");
    expect(await removeSchedulerFile(path, "3f9c")).toBe(true);
    expect(await removeSchedulerFile(path, "3f9c")).toBe(false);
    await writeFile(path, "not ours");
    expect(await removeSchedulerFile(path, "3f9c")).toBe(false);
  });

  test.each([
    ["", "it is empty"],
    ["{", "it is not JSON"],
    ["[]", "id"],
    ["7", "the whole"],
    ["{}", "id"],
    [JSON.stringify({ id: "x", address: "nonsense" }), "address: not an address"],
    [JSON.stringify({ id: "x", address: "tls://h:1", tsdask: {} }), "tsdask.version"],
    [
      JSON.stringify({ id: "x", address: "tls://h:1", tsdask: { ...content().tsdask, folder: "relative" } }),
      "tsdask.folder",
    ],
  ])("that holds %o is told to be wrong", async (text, problem) => {
    await writeFile(path, text);
    await expect(readSchedulerFile(path)).rejects.toThrow(new RegExp(`TSD-024.*${problem}`));
  });

  test("that is not there, or is a folder, is told", async () => {
    await expect(readSchedulerFile(path)).rejects.toThrow(/TSD-023.*no such file/);
    await expect(readSchedulerFile(folder)).rejects.toThrow(/TSD-120.*folder/);
  });

  test("in a place that cannot be written is told with a cure", async () => {
    await expect(writeSchedulerFile(join(folder, "none", "scheduler.json"), content())).rejects.toThrow(
      /TSD-072[\s\S]*cure/,
    );
  });
});

describe("the place for scheduler.json", () => {
  test("is free when nothing is there, and refused when it is a folder", async () => {
    expect(await claimSchedulerFile(path)).toEqual({ state: "free" });
    await mkdir(path);
    await expect(claimSchedulerFile(path)).rejects.toThrow(/TSD-026/);
  });

  test("may be taken when the file is nonsense, its folder is gone, or nobody answers", async () => {
    await writeFile(path, "{");
    expect(await claimSchedulerFile(path)).toMatchObject({ state: "stale" });
    await writeSchedulerFile(path, content());
    expect(await claimSchedulerFile(path)).toMatchObject({ state: "stale" });
    await writeFile(path, JSON.stringify({ id: "x", address: "tcp://127.0.0.1:1" }));
    expect(await claimSchedulerFile(path)).toMatchObject({
      state: "stale",
      why: expect.stringContaining("nothing listens"),
    });
  });

  test("is not taken from a cluster of another host that cannot be reached: the way may be closed", async () => {
    const owner = { host: "h1", pid: 1, startTime: "1", machine: "another machine" };
    await writeFile(join(folder, "owner"), JSON.stringify(owner));
    for (const file of ["ca.pem", "cert.pem", "key.pem"]) await writeFile(join(folder, file), "", { mode: 0o600 });
    // Addresses of its own host for itself.
    for (const address of ["tcp://127.0.0.2:1", "tcp://localhost:1"]) {
      await writeSchedulerFile(path, content({ address }));
      await expect(claimSchedulerFile(path)).rejects.toMatchObject({
        code: "TSD-025",
        facts: { runs: "may still run", host: "h1" },
      });
    }
    const closed = content({ address: `tcp://${hostname()}:1` });
    const [one] = closed.tsdask === undefined ? [] : [closed.tsdask];
    await writeSchedulerFile(path, {
      ...closed,
      ...(one === undefined ? {} : { tsdask: { ...one, security: "none" } }),
    });
    await expect(claimSchedulerFile(path)).rejects.toThrow(/TSD-025.*may still run.*on h1: TSD-075/);
    const asked: string[] = [];
    const isOver = async ({ launch }: { readonly launch: string }): Promise<boolean> => asked.push(launch) > 0;
    expect(await claimSchedulerFile(path, { isOver })).toMatchObject({ state: "stale" });
    expect(asked).toEqual(["3f9c"]);
    // Its own launch on this machine, which was killed; another one has its folder.
    await writeFile(join(folder, "owner"), JSON.stringify({ ...owner, machine: machine() }));
    expect(await claimSchedulerFile(path)).toMatchObject({ state: "stale" });
    await writeFile(join(folder, "owner"), JSON.stringify({ ...owner, pid: 2 }));
    expect(await claimSchedulerFile(path)).toMatchObject({ state: "stale" });
  });

  test("is not taken from a cluster whose rank 0 runs here, whatever its scheduler does", async () => {
    const own = content().tsdask;
    const mark = { host: "h1", pid: process.ppid, startTime: startTime(process.ppid), machine: machine() };
    await writeFile(join(folder, "owner"), JSON.stringify(mark));
    await writeSchedulerFile(
      path,
      content({ address: "tcp://127.0.0.1:1", ...(own === undefined ? {} : { tsdask: { ...own, pid: mark.pid } }) }),
    );
    await expect(claimSchedulerFile(path)).rejects.toMatchObject({ code: "TSD-025", facts: { runs: "runs now" } });
  });

  test("is taken at once from what a launch has left whose folder is this launch's own by now", async () => {
    const mark = { host: "h1", pid: process.pid, startTime: startTime(process.pid), machine: machine() };
    await writeFile(join(folder, "owner"), JSON.stringify(mark));
    await writeSchedulerFile(path, content({ address: "tcp://192.0.2.1:1" }));
    expect(await claimSchedulerFile(path)).toEqual({ state: "stale", why: "another launch has its folder" });
  });

  test("is not taken from something that accepts and is silent: it may be busy", async () => {
    await using server = createServer((socket) => socket.on("error", () => socket.destroy()).resume());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    server.unref();
    const { port } = server.address() as AddressInfo;
    await writeFile(path, JSON.stringify({ id: "x", address: `tcp://127.0.0.1:${port}` }));
    await expect(claimSchedulerFile(path, { deadline: 200 })).rejects.toThrow(
      /TSD-025.*too busy[\s\S]*scheduler-\{job_id\}\.json/,
    );
  });

  for (const { python, version } of daskPythons()) {
    test(`is not taken from a cluster that lives, and is when that was another or has ended (Dask ${version})`, async () => {
      await using cluster = await startDask(python, { secure: true, workers: 0 });
      const own = content().tsdask;
      const { id } = await identity(cluster);
      const live = content({
        id,
        address: cluster.address,
        tsdask: own === undefined ? undefined : { ...own, folder: cluster.folder },
      });
      await writeSchedulerFile(path, live);
      await expect(claimSchedulerFile(path, { deadline: 60_000 })).rejects.toThrow(/TSD-025.*its scheduler answers/);
      await writeSchedulerFile(path, { ...live, id: "another" });
      expect(await claimSchedulerFile(path, { deadline: 60_000 })).toMatchObject({
        state: "stale",
        why: expect.stringContaining("another scheduler"),
      });
      await writeSchedulerFile(path, live);
      await chmod(join(cluster.folder, "key.pem"), 0o644);
      expect(await claimSchedulerFile(path, { deadline: 60_000 })).toMatchObject({
        state: "stale",
        why: expect.stringContaining("TSD-073"),
      });
    });
  }
});
