import {
  closeSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openRecord, recordHead, recordOf } from "../../src/cluster/launch-record.ts";
import { sampleOf } from "../../src/cluster/launch-samples.ts";
import { openPage } from "../../src/cluster/report-page.ts";
import { readOptions } from "../../src/config/read.ts";
import { recordName } from "../../src/report/lines.ts";
import { parseRecord } from "../../src/report/record.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsdask-record-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const path = (): string => join(folder, recordName);

test("the record is private, has what was said before it was opened, and ends with the end", async () => {
  const writer = openRecord(
    () => folder,
    () => 7,
  );
  writer.add({ k: "leave" });
  expect(existsSync(path())).toBe(false);
  await writer.flush();
  writer.add({ k: "end", why: "done", code: 0 });
  await writer.close({ keep: false });
  expect(lstatSync(path()).mode & 0o777).toBe(0o600);
  expect(parseRecord(readFileSync(path(), "utf8"))).toEqual([
    { at: 7, k: "leave" },
    { at: 7, k: "end", why: "done", code: 0 },
  ]);
});

test("what ended well in a moment leaves no record; a link is not followed; a full one says so and keeps the end", async () => {
  const quick = openRecord(() => folder);
  quick.add({ k: "leave" });
  await quick.close({ keep: false });
  expect(existsSync(path())).toBe(false);

  symlinkSync(join(folder, "target"), path());
  const misled = openRecord(() => folder);
  misled.add({ k: "leave" });
  await misled.close({ keep: true });
  expect(existsSync(join(folder, "target"))).toBe(false);
  rmSync(path());

  const full = openRecord(() => folder);
  for (let index = 0; index < 90; index += 1) full.add({ k: "message", text: "x".repeat(100_000) });
  full.add({ k: "end", why: "done", code: 0 });
  await full.close({ keep: true });
  const kinds = parseRecord(readFileSync(path(), "utf8")).map(({ k }) => k);
  expect(kinds.slice(-2)).toEqual(["full", "end"]);
  expect(lstatSync(path()).size).toBeLessThan(8_300_000);
});

test("a file system that tells at the close what it could not keep is no failure of the launch", async () => {
  const writer = openRecord(() => folder);
  writer.add({ k: "leave" });
  await writer.flush();
  const fds = readdirSync("/proc/self/fd").map(Number);
  const fd = fds.find((one) => existsSync(`/proc/self/fd/${one}`) && readlinkSync(`/proc/self/fd/${one}`) === path());
  closeSync(fd ?? -1);
  await expect(writer.close({ keep: true })).resolves.toBeUndefined();
});

test("the head has when the job began and when its time is over", async () => {
  const env = { SLURM_JOB_ID: "17", SLURM_JOB_START_TIME: "1700000000", SLURM_JOB_END_TIME: "1700021600" };
  const { options, sources } = await readOptions({ argv: ["a.py"], env: {}, cwd: "/w", home: "/h" });
  const plan = { size: 4, schedulerRank: 0, clientRank: 1, workerRanks: [2, 3] };
  const head = recordHead({
    ...{ name: "n", launch: "x.1", started: 1_700_010_000_000, host: "h1", cwd: "/w", python: "/p", env },
    ...{ options, sources, world: { launcher: "slurm", rank: 0, size: 4 }, plan },
  });
  expect(head).toMatchObject({ job: { system: "slurm", id: "17" }, jobStarted: 1_700_000_000, ends: 1_700_021_600 });
  expect(parseRecord(JSON.stringify({ k: "launch", at: 1, ...head }))).toEqual([{ k: "launch", at: 1, ...head }]);
});

test("what ranks say becomes lines with the names of their hosts", () => {
  const hosts = [{ name: "h1", done: false }];
  const event = { k: "worker-lost", why: "killed", restarting: true } as const;
  expect(recordOf({ e: "rank-event", host: 0, rank: 3, event }, hosts)).toEqual({
    k: "lost",
    rank: 3,
    host: "h1",
    why: "killed",
    restarting: true,
  });
  expect(recordOf({ e: "published" }, hosts)).toBeUndefined();
});

test("a scheduler's answer is figures, whatever it answers", () => {
  expect(sampleOf({ workers: [["w", 1, 2, 3, 4], "x", ["y", null]], finished: 2, idle: 1.6 })).toEqual({
    k: "sample",
    workers: [
      ["w", 1, 2, 3, 4],
      ["y", 0, 0, 0, 0],
    ],
    finished: 2,
    idle: 2,
  });
  expect(sampleOf(null).workers).toEqual([]);
});

test("a page that cannot be written is found out at once; a folder gets a name of the cluster's", async () => {
  const launch = { name: "nightly", launch: "x.1", folder: () => folder, env: {} };
  symlinkSync(join(folder, "target"), join(folder, "link.html"));
  for (const where of [join(folder, "no", "r.html"), join(folder, "link.html"), "/proc/r.html"])
    await expect(openPage({ ...launch, where }), where).rejects.toMatchObject({ code: "TSD-181", exitCode: 64 });
  const page = await openPage({ ...launch, where: folder });
  expect(page.path).toBe(join(folder, "tsdask-nightly-x-1.html"));
  expect(lstatSync(page.path).mode & 0o777).toBe(0o600);
  const own = await openPage({ ...launch, where: "auto", folder: () => join(folder, "kept") });
  expect(own.path).toBe(join(folder, "kept", "report.html"));
});
