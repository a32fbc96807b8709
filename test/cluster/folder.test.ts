import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startTime } from "../../src/launcher/process-mark.ts";
import { deadClusterFolders, removeClusterFolder, removeFolder, takeClusterFolder } from "../../src/cluster/folder.ts";

let place = "";
let folder = "";
let precious = "";
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "tsdask-folder-"));
  folder = join(place, ".tsdask-0123456789abcdef");
  precious = join(place, "precious");
  mkdirSync(precious, { mode: 0o700 });
  writeFileSync(join(precious, "thesis"), "mine");
  utimesSync(precious, 1, 1);
});
afterEach(() => rmSync(place, { recursive: true }));

const take = (): Promise<void> => takeClusterFolder(folder, hostname(), async () => undefined);
const thesis = (at: string): string => readFileSync(join(at, "thesis"), "utf8");

/** An owner that was a process of this machine. */
function dead(path: string): void {
  const owner = JSON.parse(readFileSync(join(folder, "owner"), "utf8")) as object;
  mkdirSync(path, { mode: 0o700 });
  writeFileSync(join(path, "owner"), JSON.stringify({ ...owner, startTime: "1" }));
  mkdirSync(join(path, "log"));
  writeFileSync(join(path, "log", "a"), "");
}

it("is taken, private, and removed with all that is in it", async () => {
  await take();
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  mkdirSync(join(folder, "log"));
  writeFileSync(join(folder, "log", "a"), "");
  symlinkSync(precious, join(folder, "link"));
  await removeClusterFolder(folder);
  expect(existsSync(folder)).toBe(false);
  expect(thesis(precious)).toBe("mine");
  await removeClusterFolder(folder);
});

it("of a launch of the same name that lives is TSD-035, and stays", async () => {
  await take();
  const owner = JSON.parse(readFileSync(join(folder, "owner"), "utf8")) as object;
  const living = JSON.stringify({ ...owner, pid: process.ppid, startTime: startTime(process.ppid) });
  writeFileSync(join(folder, "owner"), living);
  const facts = { folder, host: hostname(), pid: process.ppid };
  await expect(take()).rejects.toMatchObject({ code: "TSD-035", exitCode: 64, facts });
  expect(readFileSync(join(folder, "owner"), "utf8")).toBe(living);
});

it("of a launch of the same name that is gone is emptied first", async () => {
  await take();
  const other = join(place, ".tsdask-1111111111111111");
  dead(other);
  rmSync(folder, { recursive: true });
  renameSync(other, folder);
  await take();
  expect(existsSync(join(folder, "log"))).toBe(false);
  await removeClusterFolder(folder);
});

describe("in a folder where others may rename, a folder of the user's own that is put at its path", () => {
  it("before is neither used nor removed", async () => {
    renameSync(precious, folder);
    await expect(take()).rejects.toMatchObject({ code: "TSD-071" });
    expect(thesis(folder)).toBe("mine");
  });

  it("meanwhile is not removed", async () => {
    await take();
    renameSync(folder, join(place, "away"));
    renameSync(precious, folder);
    await removeClusterFolder(folder);
    expect(thesis(folder)).toBe("mine");
  });

  it.each([0o700, 0o755])("(mode %o) is not taken for what a dead launch has left, however old", async (mode) => {
    await take();
    const other = join(place, ".tsdask-1111111111111111");
    chmodSync(precious, mode);
    renameSync(precious, other);
    expect(deadClusterFolders(folder, undefined)).toEqual([]);
    expect(deadClusterFolders(folder, JSON.stringify({ address: "tls://a:1", tsdask: { folder: other } }))).toEqual([]);
    await removeClusterFolder(folder);
  });

  it("after a dead launch's was found is not removed", async () => {
    await take();
    const other = join(place, ".tsdask-1111111111111111");
    dead(other);
    const [found] = deadClusterFolders(folder, undefined);
    expect(found?.path).toBe(other);
    renameSync(other, join(place, "away"));
    renameSync(precious, other);
    await removeFolder(found ?? { path: "", identity: "" });
    expect(thesis(other)).toBe("mine");
    renameSync(other, precious);
    renameSync(join(place, "away"), other);
    await removeFolder(found ?? { path: "", identity: "" });
    expect(existsSync(other)).toBe(false);
    await removeClusterFolder(folder);
  });
});

it("that was left empty is removed when it is old", async () => {
  await take();
  const empty = join(place, ".tsdask-1111111111111111");
  mkdirSync(empty, { mode: 0o700 });
  expect(deadClusterFolders(folder, undefined)).toEqual([]);
  utimesSync(empty, 1, 1);
  expect(deadClusterFolders(folder, undefined).map(({ path }) => path)).toEqual([empty]);
  await removeClusterFolder(folder);
});
