import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { endWorkerJobs } from "../../src/batch/end-jobs.ts";
import { cancelListedJobs, lockJobList, readJobList, writeJobList, type ListedJob } from "../../src/batch/job-list.ts";
import { jobListPath, workerJobs } from "../../src/batch/job-list-path.ts";

let folder = "";
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tsdask-list-"))));
afterEach(() => rmSync(folder, { recursive: true }));

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
