import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { dropInCommand } from "../../src/commands/drop-in.ts";

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "drop-in-"));
});
afterEach(() => rmSync(base, { recursive: true }));

/** An installation with its two commands; returns the path of its `tsdask-mpi`. */
function installation(name: string): string {
  const bin = join(base, name, "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "tsdask-mpi"), "");
  writeFileSync(join(bin, "dask-mpi"), "#!/bin/sh\nTSDASK_COMMAND=dask-mpi exec tsdask-mpi\n");
  return join(bin, "tsdask-mpi");
}

/** What the command says. */
function dropIn(own: string, ...words: string[]): string {
  let said = "";
  const ear = { write: (text: string) => void (said += text) };
  expect(dropInCommand(words, { env: {}, cwd: base, stdout: ear, stderr: ear }, own)).toBe(0);
  return said;
}

/** A folder of PATH. */
function pathFolder(name = "in PATH"): string {
  mkdirSync(join(base, name), { recursive: true });
  return join(base, name);
}

test("the line that it ends with takes the link away again, and nothing else", () => {
  const own = installation("clone");
  const folder = pathFolder();
  const [, , line] = /(`tsdask-mpi install-drop-in )(.*)`/.exec(dropIn(own, folder)) ?? [];
  expect(line).toBe(`--remove '${folder}'`);
  expect(dropIn(own, folder)).toContain("is there already");
  expect(dropIn(own, "--remove", folder)).toContain("is removed");
  expect(readdirSync(folder)).toEqual([]);
  expect(dropIn(own, "--remove", folder)).toContain("there is no");
});

test("the stand-in itself is neither removed nor made a link to itself", () => {
  const own = installation("clone");
  symlinkSync("clone", join(base, "other name"));
  for (const words of [["--remove"], ["--force"], [], ["--remove", "other name/bin"], ["--force", "other name/bin"]]) {
    expect(dropIn(own, ...words)).toContain("is the stand-in itself and stays");
    expect(lstatSync(join(base, "clone", "bin", "dask-mpi")).isFile(), words.join(" ")).toBe(true);
  }
});

test("a link to another installation's is replaced, also where that was deleted, and can be removed", () => {
  const own = installation("clone");
  const link = join(pathFolder(), "dask-mpi");
  const older = join(installation("older"), "..", "dask-mpi");
  for (const former of [older, join(base, "gone", "share", "tsdask-mpi", "bin", "dask-mpi")]) {
    symlinkSync(former, link);
    expect(dropIn(own, "in PATH")).toContain(`led to ${former}`);
    expect(readlinkSync(link)).toBe(join(base, "clone", "bin", "dask-mpi"));
    rmSync(link);
    symlinkSync(former, link);
    dropIn(own, "--remove", "in PATH");
    expect(readdirSync(join(base, "in PATH"))).toEqual([]);
  }
  expect(existsSync(older)).toBe(true);
});

test("what is another's stays, and --force leaves nothing behind where it fails", () => {
  const own = installation("clone");
  const link = join(pathFolder(), "dask-mpi");
  const failing = (...words: string[]): unknown => {
    try {
      return dropIn(own, ...words, "in PATH");
    } catch (error) {
      return error;
    }
  };
  symlinkSync(join(base, "gone", "conda", "bin", "dask-mpi"), link);
  for (const words of [[], ["--remove"], ["--remove", "--force"]])
    expect(failing(...words)).toMatchObject({ code: "TSD-166" });
  expect(failing("--force")).toContain("is run by tsdask-mpi now");
  rmSync(link);
  mkdirSync(link);
  expect(failing("--force")).toMatchObject({ code: "TSD-167" });
  expect(readdirSync(join(base, "in PATH"))).toEqual(["dask-mpi"]);
  const other = installation("other");
  expect(() => dropIn(own, "--remove", "other/bin")).toThrow("TSD-166");
  expect(existsSync(other.replace(/tsdask-mpi$/, "dask-mpi"))).toBe(true);
});
