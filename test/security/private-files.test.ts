import { chmod, chown, lstat, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Failure } from "../../src/errors/failure.ts";
import { unwritable } from "../../src/security/file-problems.ts";
import { privateFolder, readPrivateFile, temporaryFolder, writePrivateFile } from "../../src/security/private-files.ts";

const asRoot = process.geteuid?.() === 0;
const mode = async (path: string): Promise<string> => ((await lstat(path)).mode & 0o7777).toString(8);

let base: string;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "tsdask-private-"));
});
afterEach(() => rm(base, { recursive: true }));

describe("a private folder", () => {
  test("is made with mode 0700, and taken again when it is ours", async () => {
    const path = join(base, "one");
    expect(privateFolder(path)).toBe(path);
    expect(privateFolder(path)).toBe(path);
    expect(await mode(path)).toBe("700");
  });

  test("is closed when it is ours and others could only look in", async () => {
    await mkdir(join(base, "open"));
    await chmod(join(base, "open"), 0o755);
    privateFolder(join(base, "open"));
    expect(await mode(join(base, "open"))).toBe("700");
  });

  test("is refused when others could write in it: what is there may be theirs", async () => {
    await mkdir(join(base, "open"));
    await chmod(join(base, "open"), 0o777);
    expect(() => privateFolder(join(base, "open"))).toThrow(/TSD-071.*others may write in it \(mode 0777\)/);
  });

  test("is refused when it is a symbolic link, even to a folder of ours", async () => {
    await mkdir(join(base, "real"));
    await symlink(join(base, "real"), join(base, "link"));
    expect(() => privateFolder(join(base, "link"))).toThrow(/TSD-071.*it is a symbolic link/);
  });

  test("is refused when it is a file", async () => {
    await writeFile(join(base, "file"), "");
    expect(() => privateFolder(join(base, "file"))).toThrow(/TSD-071.*it is not a folder/);
  });

  test("is refused in a folder where everyone may rename what is ours", async () => {
    await mkdir(join(base, "shared"));
    await chmod(join(base, "shared"), 0o777);
    expect(() => privateFolder(join(base, "shared", "x"))).toThrow(/TSD-071.*no sticky bit/);
    await chmod(join(base, "shared"), 0o1777);
    expect(privateFolder(join(base, "shared", "x"))).toBe(join(base, "shared", "x"));
  });

  test.runIf(asRoot)("is refused when another user was there first", async () => {
    await mkdir(join(base, "theirs"), { mode: 0o700 });
    await chown(join(base, "theirs"), 65534, 65534);
    expect(() => privateFolder(join(base, "theirs"))).toThrow(/TSD-071.*another user \(uid 65534\)/);
  });

  test("says what to do when its parent is not there", () => {
    expect(() => privateFolder(join(base, "no", "such"))).toThrow(/TSD-072[\s\S]*does not exist[\s\S]*Create it/);
  });
});

describe("a private file", () => {
  test("is written with mode 0600, whatever was there before, and leaves no temporary file", async () => {
    const path = join(base, "token");
    await writeFile(path, "old");
    await chmod(path, 0o644);
    await writePrivateFile(path, "secret\n");
    expect(await readPrivateFile(path)).toBe("secret\n");
    expect(await mode(path)).toBe("600");
    expect(await readdir(base)).toEqual(["token"]);
  });

  test("replaces a symbolic link and leaves what it pointed at alone", async () => {
    await writeFile(join(base, "target"), "theirs");
    await symlink(join(base, "target"), join(base, "token"));
    await writePrivateFile(join(base, "token"), "secret");
    expect(await readFile(join(base, "target"), "utf8")).toBe("theirs");
    expect(await readPrivateFile(join(base, "token"))).toBe("secret");
  });

  test("leaves nothing behind when it cannot be written", async () => {
    await mkdir(join(base, "token"));
    await writeFile(join(base, "token", "x"), "");
    await expect(writePrivateFile(join(base, "token"), "secret")).rejects.toThrow(/TSD-072/);
    expect(await readdir(base)).toEqual(["token"]);
  });

  test("is not read when others may open it, when it is a link, or no file", async () => {
    await writeFile(join(base, "loose"), "x");
    await chmod(join(base, "loose"), 0o640);
    await expect(readPrivateFile(join(base, "loose"))).rejects.toThrow(/TSD-073.*others may open it \(mode 0640\)/);
    await writePrivateFile(join(base, "real"), "x");
    await symlink(join(base, "real"), join(base, "link"));
    await expect(readPrivateFile(join(base, "link"))).rejects.toThrow(/TSD-073.*symbolic link/);
    await expect(readPrivateFile(base)).rejects.toThrow(/TSD-073.*not a plain file/);
    await expect(readPrivateFile(join(base, "none"))).rejects.toThrow(/TSD-074.*no such file/);
  });

  test.runIf(asRoot)("is not read when it belongs to another user", async () => {
    await writePrivateFile(join(base, "theirs"), "x");
    await chown(join(base, "theirs"), 65534, 65534);
    await expect(readPrivateFile(join(base, "theirs"))).rejects.toThrow(/TSD-073.*another user/);
  });
});

describe("a place that cannot be written", () => {
  const failed = (code: string): Failure => unwritable("/scratch/x", Object.assign(new Error(code), { code }));

  test.each([
    ["ENOSPC", /full/],
    ["EDQUOT", /quota/i],
    ["EROFS", /read-only/],
    ["EACCES", /permission/],
    ["ESTALE", /stale/],
  ])("%s is told with its cause and a cure", (code, text) => {
    expect(failed(code).message).toMatch(text);
    expect(failed(code).message).toMatch(/cure: {2}\S/);
  });

  test("a temporary folder that is not there is told as that", async () => {
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = join(base, "none");
    const failed = temporaryFolder("tsdask-script-");
    process.env["TMPDIR"] = before;
    await expect(failed).rejects.toThrow(/TSD-072[\s\S]*temporary folder \S+\/none is not there[\s\S]*Set TMPDIR/);
  });

  test("an error nobody foresaw is told in its own words", () => {
    expect(failed("EWHATEVER").message).toContain("EWHATEVER");
  });
});
