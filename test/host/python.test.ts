import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { PythonReport } from "../../src/protocol/messages.ts";
import { render } from "../../src/errors/failure.ts";
import { checkPythons, findPython, type PythonFound } from "../../src/host/python.ts";
import { pythonTrouble } from "../../src/host/python-trouble.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "tsdask-python-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

function program(path: string, mode = 0o755): string {
  const full = join(root, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, "#!/bin/sh\n");
  chmodSync(full, mode);
  return full;
}
const find = (env: Record<string, string>, requested?: string): PythonFound =>
  findPython({ requested, env, cwd: root, host: "node1" });

describe("the Python", () => {
  it("is --python's before the active environment's, and that before PATH's", () => {
    const [requested, venv, conda, own] = ["my/python", "venv/bin/python", "conda/bin/python", "usr/bin/python3"].map(
      (path) => program(path),
    );
    const env = { VIRTUAL_ENV: join(root, "venv"), CONDA_PREFIX: join(root, "conda"), PATH: join(root, "usr/bin") };
    expect(find(env, requested)).toEqual({ path: requested, from: "--python" });
    expect(find(env)).toEqual({ path: venv, from: "VIRTUAL_ENV" });
    expect(find({ ...env, VIRTUAL_ENV: join(root, "removed") })).toEqual({ path: conda, from: "CONDA_PREFIX" });
    expect(find({ PATH: env.PATH })).toEqual({ path: own, from: "PATH" });
  });

  it("is PATH's where a module with Dask was loaded over an environment without it", () => {
    const [base, module] = [program("base/bin/python"), program("module/bin/python3")];
    const env = { CONDA_PREFIX: join(root, "base"), PATH: `${join(root, "module/bin")}:${join(root, "base/bin")}` };
    expect(find(env)).toEqual({ path: base, from: "CONDA_PREFIX" });
    mkdirSync(join(root, "dask/distributed"), { recursive: true });
    expect(find({ ...env, PYTHONPATH: `:${join(root, "dask")}` })).toEqual({ path: module, from: "PATH" });
    mkdirSync(join(root, "module/lib/python3.11/site-packages/distributed"), { recursive: true });
    expect(find(env)).toEqual({ path: module, from: "PATH" });
    expect(find({ ...env, PATH: join(root, "base/bin") })).toEqual({ path: base, from: "CONDA_PREFIX" });
    mkdirSync(join(root, "base/lib/python3.12/site-packages/distributed"), { recursive: true });
    expect(find(env)).toEqual({ path: base, from: "CONDA_PREFIX" });
  });

  it("is the first folder's of PATH, python3 before python, and nothing that cannot be run", () => {
    program("a/python3", 0o644);
    mkdirSync(join(root, "b/python3"), { recursive: true });
    const [python3, python] = [program("c/python3"), program("c/python")];
    const folders = ["relative", "", join(root, "a"), join(root, "b"), join(root, "c")];
    expect(find({ PATH: folders.join(":") }).path).toBe(python3);
    rmSync(python3);
    expect(find({ PATH: folders.join(":") }).path).toBe(python);
  });

  it("can be named by a name in PATH, a relative path, or an environment's folder", () => {
    const path = program("env/bin/python");
    program("bin/python3.12");
    expect(find({}, "env/bin/python").path).toBe(path);
    expect(find({}, join(root, "env")).path).toBe(path);
    expect(find({ PATH: join(root, "bin") }, "python3.12").path).toBe(join(root, "bin/python3.12"));
  });

  it.each<[string, string, RegExp]>([
    ["a misspelt path", "no/such/python", /is not there/],
    ["a name that is not in PATH", "python9", /no such program in PATH/],
    ["a file that is not executable", "./plain", /not executable/],
    ["a folder that is no environment", "./folder", /folder without bin\/python/],
  ])("is refused for %s", (_, requested, problem) => {
    program("plain", 0o644);
    mkdirSync(join(root, "folder"));
    expect(() => find({ PATH: "" }, requested)).toThrow(
      expect.objectContaining({ code: "TSD-041", exitCode: 64 }) as Error,
    );
    expect(() => find({ PATH: "" }, requested)).toThrow(problem);
  });

  it("is missed with a message that says how to load one", () => {
    expect(() => find({})).toThrow(expect.objectContaining({ code: "TSD-040" }) as Error);
    expect(() => find({})).toThrow(/module load/);
  });
});

it.each<[string, string, boolean]>([
  ["spawn", "TSD-041", true],
  ["old-python", "TSD-042", true],
  ["no-dask", "TSD-043", true],
  ["old-dask", "TSD-045", true],
  ["warm", "TSD-046", false],
  ["threads", "TSD-046", false],
  ["incompatible", "TSD-179", true],
  ["lacking", "TSD-180", false],
  ["ended", "TSD-047", true],
])("the fork server's word %s is message %s", (reason, code, fatal) => {
  const trouble = pythonTrouble({
    host: "node1",
    python: "/usr/bin/python3",
    env: {},
    reason,
    message: "no module distributed",
  });
  expect(trouble).toMatchObject({ code, fatal });
  expect(render(trouble.code, trouble.facts)).not.toMatch(/\?(?!\S)|[{}]/);
});

it("a Python that was interrupted while it started is told as that, not by its traceback", () => {
  const words =
    "Fatal Python error: init_import_site: Failed to import the site module\nTraceback (most recent call last):\nKeyboardInterrupt\n";
  const trouble = pythonTrouble({
    ...{ host: "node1", python: "/usr/bin/python3", env: {}, reason: "ended", words },
    message: "exit code 1: Fatal Python error: init_import_site: Failed to import the site module",
  });
  expect(trouble.code).toBe("TSD-047");
  expect(trouble.facts).toMatchObject({ problem: "it got SIGINT while it was starting" });
  expect(render(trouble.code, trouble.facts)).not.toContain("Fatal Python error");
});

it("a fork server that may make no socket in the temporary folder is told as that, by its own word for it", () => {
  const about = { host: "node1", python: "/usr/bin/python3", env: { TMPDIR: "/scratch" } };
  const { code, facts, fatal } = pythonTrouble({
    ...about,
    reason: "folder",
    message: "Read-only file system (EROFS)",
  });
  expect([code, fatal]).toEqual(["TSD-047", true]);
  const text = render(code, facts);
  expect(text).toContain("Read-only file system (EROFS)");
  expect(text).toContain("no socket below the temporary folder /scratch");
  expect(text).toContain("touch /scratch/x");
});

it("a Python that could not have the memory for Dask's modules is told as that, not as a broken installation", () => {
  const trouble = pythonTrouble({
    ...{ host: "node1", python: "/usr/bin/python3", env: {}, reason: "memory" },
    message: "/usr/bin/python3 cannot import distributed: MemoryError: ",
  });
  expect(trouble.facts["cure"]).toContain("ulimit -a");
});

const report = (host: string, changes: Partial<PythonReport> = {}): PythonReport => ({
  host,
  executable: "/opt/env/bin/python",
  python: "3.11.7",
  dask: "2024.1.0",
  distributed: "2024.1.0",
  packages: { msgpack: "1.0.5", numpy: "2.0.0" },
  ...changes,
});

describe("the Pythons of all hosts", () => {
  it("agree when they are alike, or differ in what does not matter", () => {
    expect(checkPythons([])).toEqual({ trouble: undefined, warnings: [] });
    expect(checkPythons([report("a"), report("b", { python: "3.11.2", executable: "/other/python" })])).toEqual({
      trouble: undefined,
      warnings: [],
    });
    // a package that only one host has imported so far
    expect(checkPythons([report("a"), report("b", { packages: {} })]).warnings).toEqual([]);
  });

  it.each<[string, Partial<PythonReport>, string]>([
    ["Python", { python: "3.12.1" }, "Python 3.11 on a, b but 3.12 on c"],
    ["Dask", { dask: "2023.5.0" }, "dask 2024.1.0 on a, b but 2023.5.0 on c"],
    ["distributed", { distributed: "2023.5.0" }, "distributed 2024.1.0 on a, b but 2023.5.0 on c"],
  ])("cannot work together with different versions of %s", (_, changes, problem) => {
    const { trouble } = checkPythons([
      report("a"),
      report("b"),
      report("c", { ...changes, executable: "/usr/bin/python3" }),
    ]);
    expect(trouble).toMatchObject({
      code: "TSD-044",
      fatal: true,
      facts: { problem, first: "/opt/env/bin/python on a", other: "/usr/bin/python3 on c" },
    });
  });

  it("may differ in other packages, with a warning", () => {
    const { trouble, warnings } = checkPythons([
      report("a"),
      report("b", { packages: { msgpack: "1.0.5", numpy: "1.26.4" } }),
    ]);
    expect(trouble).toBeUndefined();
    expect(warnings).toEqual(["numpy 2.0.0 on a but 1.26.4 on b"]);
  });

  it("are told in a line even when there are many hosts", () => {
    const many = Array.from({ length: 100 }, (_, index) =>
      report(`n${index}`, index === 7 ? { dask: "2023.1.0" } : {}),
    );
    expect(checkPythons(many).trouble?.facts["problem"]).toBe(
      "dask 2024.1.0 on n0, n1, n2 and 96 more but 2023.1.0 on n7",
    );
  });
});
