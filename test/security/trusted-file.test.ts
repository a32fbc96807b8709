import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readTrustedFile, refuseReplaceable } from "../../src/security/trusted-file.ts";

const stranger = 65534;
const limit = 1000;
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync("/tmp/tsdask-trust-");
  path = join(folder, "file");
  writeFileSync(path, "content", { mode: 0o644 });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("a file that decides whose code runs", () => {
  it("is read when nobody else can write or replace it, also in a sticky folder", async () => {
    expect(await readTrustedFile(path, { limit })).toBe("content");
    chmodSync(folder, 0o1777);
    expect(await readTrustedFile(path, { limit })).toBe("content");
  });

  it.each([0o777, 0o757])("is refused in a folder of mode %o, also when shared folders are trusted", async (mode) => {
    chmodSync(folder, mode);
    await expect(readTrustedFile(path, { limit, shared: true })).rejects.toThrow(/TSD-120.*everyone may replace it/);
  });

  it("is refused when others may write in it", async () => {
    chmodSync(path, 0o666);
    await expect(readTrustedFile(path, { limit, shared: true })).rejects.toThrow(/TSD-120.*others may write in it/);
  });

  it("is refused as a link, a pipe, a folder and an endless file, at once", async () => {
    const link = join(folder, "link");
    symlinkSync(path, link);
    await expect(readTrustedFile(link, { limit })).rejects.toThrow(/TSD-120.*symbolic link/);
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    await expect(readTrustedFile(pipe, { limit })).rejects.toThrow(/TSD-120.*plain file/);
    await expect(readTrustedFile(folder, { limit })).rejects.toThrow(/TSD-120.*folder/);
    writeFileSync(path, "x".repeat(limit + 1));
    await expect(readTrustedFile(path, { limit })).rejects.toThrow(/TSD-120.*too large/);
  });

  it("may be reached through a link of ours, whose own folder counts as well", async () => {
    const inner = join(folder, "inner");
    mkdirSync(inner, { mode: 0o700 });
    writeFileSync(join(inner, "file"), "inside", { mode: 0o600 });
    symlinkSync("inner", join(folder, "way"));
    expect(await readTrustedFile(join(folder, "way", "file"), { limit })).toBe("inside");
    chmodSync(folder, 0o777);
    await expect(readTrustedFile(join(folder, "way", "file"), { limit })).rejects.toThrow("TSD-120");
  });

  if (process.getuid?.() === 0) {
    it("is refused in a group's folder, unless shared folders are trusted", async () => {
      chownSync(folder, 0, stranger);
      chmodSync(folder, 0o2775);
      await expect(readTrustedFile(path, { limit })).rejects.toThrow(/TSD-120.*group nogroup/);
      expect(await readTrustedFile(path, { limit, shared: true })).toBe("content");
    });

    it("is refused as another user's, also when shared folders are trusted, and as another user's link in a sticky folder", async () => {
      chmodSync(folder, 0o1777);
      symlinkSync("/root", join(folder, "way"));
      expect(lstatSync(join(folder, "way")).uid).toBe(0);
      execFileSync("chown", ["-h", String(stranger), join(folder, "way")]);
      expect(() => refuseReplaceable(join(folder, "way", "file"))).toThrow(/TSD-120.*owner of what lies there/);
      chownSync(path, stranger, stranger);
      await expect(readTrustedFile(path, { limit, shared: true })).rejects.toThrow("TSD-120");
    });
  }
});
