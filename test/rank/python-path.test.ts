import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { commandFile, withPython } from "../../src/rank/python-path.ts";

const root = mkdtempSync(join(tmpdir(), "tsdask-path-"));
afterAll(() => rmSync(root, { recursive: true }));

const file = (path: string): string => {
  const full = join(root, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, "");
  return full;
};
const venv = file("venv/bin/python");
file("venv/pyvenv.cfg");
file("venv/bin/pytest");
const conda = file("conda/bin/python");
mkdirSync(join(root, "conda/conda-meta"));
const system = file("usr/bin/python3");
symlinkSync(join(root, "venv/bin"), join(root, "link"));
const usr = join(root, "usr/bin");

describe("the environment of what is started", () => {
  it("has a virtual environment's programs first, as if it was activated", () => {
    expect(withPython({ PATH: usr, PYTHONHOME: "/x", VIRTUAL_ENV: "/other" }, venv)).toEqual({
      PATH: `${dirname(venv)}:${usr}`,
      VIRTUAL_ENV: join(root, "venv"),
    });
    expect(withPython({}, venv)["PATH"]).toBe(dirname(venv));
  });

  it("has a conda environment's", () => {
    expect(withPython({ PATH: usr }, conda)).toEqual({
      PATH: `${dirname(conda)}:${usr}`,
      CONDA_PREFIX: join(root, "conda"),
    });
  });

  it("stays as it is where they come first already, and with a Python of the system", () => {
    for (const [path, python] of [
      [`${root}/none:${dirname(venv)}:${usr}`, venv],
      [`${root}/link`, venv],
      [`${dirname(venv)}:${usr}`, system],
    ] as const) {
      const env = { PATH: path };
      expect(withPython(env, python)).toBe(env);
    }
  });
});

describe("a command's first word", () => {
  it("is the cluster's Python's program where it has one that belongs to Python", () => {
    expect(commandFile("pytest", venv)).toBe(join(root, "venv/bin/pytest"));
    expect(commandFile("python3", system)).toBe(system);
    expect(commandFile("python", system)).toBe(system);
  });

  it("is the word otherwise", () => {
    for (const word of ["jupyter", "ls", "./python", "/usr/bin/python"]) expect(commandFile(word, venv)).toBe(word);
  });
});
