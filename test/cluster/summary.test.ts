import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSummary } from "../../src/cluster/summary.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsdask-summary-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const read = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"));

test("it says that the launch runs, then how it ended, in a private file", async () => {
  const path = join(folder, "s.json");
  writeFileSync(path, "of an older launch", { mode: 0o644 });
  const summary = await openSummary(path, "x.1");
  expect(read(path)).toMatchObject({ format: 1, launch: "x.1", state: "running" });
  expect(lstatSync(path).mode & 0o777).toBe(0o600);
  await summary.end({
    ending: { kind: "failed", code: "TSD-050" },
    code: 69,
    seconds: 1.23456,
    usage: { workers: 0, restarts: 0 },
  });
  expect(read(path)).toMatchObject({
    state: "ended",
    exit_code: 69,
    seconds: 1.235,
    use: "unknown",
    tasks: null,
    peak_memory: null,
    ending: { code: "TSD-050" },
  });
  expect(lstatSync(path).mode & 0o777).toBe(0o600);
});

test("a link is not followed, a folder that is not there not made", async () => {
  const link = join(folder, "link.json");
  symlinkSync(join(folder, "target"), link);
  mkdirSync(join(folder, "folder"));
  writeFileSync(join(folder, "file"), "");
  for (const path of [
    link,
    join(folder, "folder"),
    join(folder, "no", "s.json"),
    join(folder, "file", "s.json"),
    "/proc/s.json",
  ]) {
    await expect(openSummary(path, "x.1"), path).rejects.toMatchObject({ code: "TSD-115", exitCode: 64 });
  }
  expect(existsSync(join(folder, "target"))).toBe(false);
});

test("a link that takes the file's place while the launch runs is replaced, not followed", async () => {
  const path = join(folder, "s.json");
  const summary = await openSummary(path, "x.1");
  rmSync(path);
  symlinkSync(join(folder, "target"), path);
  await summary.end({ ending: { kind: "closed" }, code: 0, seconds: 1, usage: { workers: 0, restarts: 0 } });
  expect(existsSync(join(folder, "target"))).toBe(false);
  expect(read(path)).toMatchObject({ state: "ended" });
});
