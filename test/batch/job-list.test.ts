import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { endWorkerJobs } from "../../src/batch/end-jobs.ts";
import { cancelListedJobs, lockJobList, readJobList, writeJobList, type ListedJob } from "../../src/batch/job-list.ts";
import { markOf } from "../../src/batch/mark.ts";
import { jobListPath, workerJobs } from "../../src/batch/job-list-path.ts";
import { deadlines } from "../../src/deadlines.ts";

const changed: { endAsksAgain: number } = deadlines;
const { endAsksAgain } = deadlines;

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tsdask-list-"))));
afterEach(() => {
  changed.endAsksAgain = endAsksAgain;
  rmSync(folder, { recursive: true });
});

const job: ListedJob = { system: "local", id: "local.1.1", host: hostname(), submitted: 1, expected: 2, joined: false };

const key = "0123456789abcdef0123456789abcdef";

it("lies in the cluster's folder, or beside the file of a cluster that plain Dask started", () => {
  expect(jobListPath("/a/scheduler.json", "/a/.tsdask-1")).toBe("/a/.tsdask-1/jobs");
  expect(jobListPath("/a/scheduler.json", undefined)).toBe("/a/.scheduler.json.jobs");
});

it("is read as it was written, closed to others, and gone when it is empty", async () => {
  const path = join(folder, "jobs.json");
  expect(await readJobList(path)).toEqual({ key: expect.stringMatching(/^[0-9a-f]{32}$/), jobs: [] });
  expect((await readJobList(path)).key).not.toBe((await readJobList(path)).key);
  await writeJobList(path, { key, jobs: [job] });
  expect(await readJobList(path)).toEqual({ version: 2, key, jobs: [job] });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await writeJobList(path, { key, jobs: [] });
  expect((await readJobList(path)).jobs).toEqual([]);
  await writeJobList(path, { key, jobs: [] });
});

it("is not written into a folder that has gone with its cluster", async () => {
  await writeJobList(join(folder, "gone", "jobs.json"), { key, jobs: [job] });
});

it.each([
  "",
  "[]",
  "{}",
  '{"version":1,"jobs":[]}',
  '{"version":2,"key":"","jobs":[]}',
  '{"version":2,"key":"0123456789abcdef0123456789abcdef","jobs":[{"system":"slurm","id":"1; rm -rf /","host":"h","submitted":1,"expected":1,"joined":true}]}',
])("damaged, it is not used: %s", async (text) => {
  const path = join(folder, "jobs.json");
  writeFileSync(path, text);
  await expect(readJobList(path)).rejects.toMatchObject({ code: "TSD-099" });
});

it("belongs to one command at a time; the lock of a process that is gone is taken over", async () => {
  const path = join(folder, "jobs.json");
  {
    await using _lock = await lockJobList(path, "adapt");
    await expect(lockJobList(path, "scale")).rejects.toThrow(/adapt` \(process \d+ on /);
  }
  writeFileSync(`${path}.lock`, `4194305 ${hostname()} adapt`);
  await using _again = await lockJobList(path, "scale");
  expect(readFileSync(`${path}.lock`, "utf8")).toContain(String(process.pid));
});

it("a lock that says nothing is another process'", async () => {
  const path = join(folder, "jobs.json");
  writeFileSync(`${path}.lock`, "");
  await expect(lockJobList(path, "scale")).rejects.toThrow(/TSD-098 .*\(another process\)/s);
});

it("a lock that cannot be written is not left behind", async () => {
  const path = join(folder, "jobs.json");
  await using file = await open(join(folder, "any"), "w");
  const full = Object.assign(new Error("full"), { code: "ENOSPC" });
  using _full = vi.spyOn(Object.getPrototypeOf(file), "writeFile").mockRejectedValueOnce(full);
  await expect(lockJobList(path, "scale")).rejects.toThrow(/TSD-099 .*ENOSPC/s);
  await using _lock = await lockJobList(path, "scale");
});

it("a lock of another host is not taken over", async () => {
  const path = join(folder, "jobs.json");
  writeFileSync(`${path}.lock`, "1 elsewhere adapt");
  await expect(lockJobList(path, "scale")).rejects.toMatchObject({ code: "TSD-098" });
});

it("cancels what is listed for a cluster that ends: jobs that are gone, and another host's, are no failure", async () => {
  const path = join(folder, "jobs.json");
  await writeJobList(path, { key, jobs: [job, { ...job, id: "local.2.2", host: "elsewhere" }] });
  expect(await cancelListedJobs(path, process.env)).toEqual({ jobs: [job], foreign: [] });
});

it("an end is not held up by jobs that cannot be cancelled, and says why", async () => {
  expect(await endWorkerJobs(folder, process.env)).toBeUndefined();
  await writeJobList(workerJobs(folder), { key, jobs: [job, { ...job, system: "slurm", id: "12" }] });
  expect(await endWorkerJobs(folder, { PATH: folder })).toMatch(/TSD-091 The command squeue was not found/);
});

it.each(["squeue", "scancel"])("a controller that is away for a moment is asked again by %s", async (away) => {
  // A busy machine starts Slurm's commands late.
  changed.endAsksAgain = 60_000;
  const script = (name: string, answer: string): void => {
    const missing = `[ ${name} != ${away} ] || [ -e ${folder}/back ] || { : > ${folder}/back; echo "${name}: error: Unable to contact slurm controller (connect failure)" >&2; exit 1; }`;
    writeFileSync(join(folder, name), `#!/bin/sh\n${missing}\n${answer}\n`, { mode: 0o755 });
  };
  script("squeue", `echo "12|12|${markOf(key)}"`);
  script("scancel", `echo "$@" >> ${folder}/cancelled`);
  await writeJobList(workerJobs(folder), { key, jobs: [{ ...job, system: "slurm", id: "12" }] });
  expect(await endWorkerJobs(folder, { PATH: `${folder}:/usr/bin:/bin` })).toBeUndefined();
  expect(readFileSync(join(folder, "cancelled"), "utf8")).toBe("12\n");
});
