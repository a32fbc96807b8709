import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Options } from "../../src/config/options.ts";
import { laterFoldersOf, scriptFolderOf } from "../../src/host/module-folders.ts";

let folder = "";
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "tsdask-modules-")));
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, "tests"), { mode: 0o755 });
  writeFileSync(join(folder, "tests", "test_x.py"), "");
});
afterEach(() => rmSync(folder, { recursive: true }));

type Started = Partial<Pick<Options, "script" | "jupyter" | "trustSharedFolder">>;
const found = (started: Started): readonly string[] =>
  laterFoldersOf({ script: undefined, jupyter: undefined, trustSharedFolder: false, ...started }, folder);
const command = (...words: string[]): Started => ({ script: { kind: "command", words } });

test("a notebook's folder, and the one that JupyterLab or a command was started in", () => {
  expect(found({ script: { kind: "notebook", words: ["tests/n.ipynb"] } })).toEqual([join(folder, "tests")]);
  expect(found({ jupyter: "lab" })).toEqual([folder]);
  expect(found(command("python", "-m", "pkg", "tests"))).toEqual([folder]);
  expect(found({})).toEqual([]);
});

test("the first folder is, as Python has it, the one of the file that a link leads to, or the folder or archive itself", () => {
  symlinkSync(join(folder, "tests", "test_x.py"), join(folder, "link.py"));
  const first = (word: string): string | undefined =>
    scriptFolderOf({ script: { kind: "python", words: [word] } }, folder);
  expect(first("link.py")).toBe(join(folder, "tests"));
  expect(first("none.py")).toBe(folder);
  expect(first("tests")).toBe(join(folder, "tests"));
  expect(first("app.pyz")).toBe(join(folder, "app.pyz"));
});

test("a script has its own folder before all others", () => {
  expect(found({ script: { kind: "python", words: ["tests/a.py"] } })).toEqual([]);
});

test.each([
  [["pytest", "-q", "tests/"]],
  [["/env/bin/pytest-3", "tests/test_x.py::test_one", "--no-such"]],
  [["python", "-m", "pytest", "tests", "nothing"]],
])("pytest's folders: %j", (words) => {
  expect(found(command(...words))).toEqual([folder, join(folder, "tests")]);
});

test.each([0o777, 0o1777])("never one that others may write in (%o)", (mode) => {
  chmodSync(folder, mode);
  for (const trustSharedFolder of [false, true]) expect(found({ jupyter: "lab", trustSharedFolder })).toEqual([]);
});
