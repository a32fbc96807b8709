import { expect, test } from "vitest";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readOptions } from "../../src/config/read.ts";
import type { DoctorContext } from "../../src/doctor/context.ts";
import { fileRows } from "../../src/doctor/files.ts";
import { pythonRows } from "../../src/doctor/python.ts";
import type { Row } from "../../src/doctor/row.ts";
import { doctorContext, pythonFolder } from "../../src/doctor/this-host.ts";

test("our Python modules are found in a folder of any name", () => {
  expect(pythonFolder("file:///opt/my%20tools/caf%C3%A9/dist/doctor.js")).toBe("/opt/my tools/café/python");
  expect(pythonFolder("file:///src/dist/of/src/doctor/this-host.ts")).toBe("/src/dist/of/python");
});

/** This host, for a Python that says nothing, as seen from this folder. */
const contextIn = async (cwd: string): Promise<DoctorContext> => {
  const { options } = await readOptions({ argv: ["--python", "/bin/false"], env: {}, cwd: "/", home: "/h" });
  const rest = { read: undefined, readProblem: undefined, world: undefined, worldProblem: undefined };
  return { ...rest, env: {}, cwd, host: "h1", uid: 0, options, pythonRoot: "/none" };
};

/** What the doctor says of a program that says nothing, started in this folder. */
const silent = async (cwd: string): Promise<Row | undefined> => (await pythonRows(await contextIn(cwd)))[0];

test("a folder in which nothing can be started is not taken for a Python that cannot be", async () => {
  expect(await silent("/no/such")).toMatchObject({ code: "TSD-208", text: expect.stringContaining("is not there") });
  expect(await silent("/no/caf\ufffd")).toMatchObject({ code: "TSD-208", text: expect.stringContaining("not UTF-8") });
});

test("of a Python that ends without a word, the doctor says how it ended", async () => {
  expect(await silent("/")).toMatchObject({ code: "TSD-047", text: expect.stringContaining("exit code 1") });
});

test("the Python is the one that a launch takes: its own environment's, where it was installed into one with Dask", async () => {
  const prefix = mkdtempSync(join(tmpdir(), "doctor-"));
  try {
    for (const name of ["bin", "lib/python3.11/site-packages/distributed"])
      mkdirSync(join(prefix, name), { recursive: true });
    const python = join(prefix, "bin", "python");
    writeFileSync(python, "#!/bin/sh\nexit 3\n", { mode: 0o755 });
    const context = await contextIn(prefix);
    const options = { ...context.options, python: undefined };
    const rows = await pythonRows({
      ...context,
      options,
      env: { PATH: "/none" },
      pythonRoot: join(prefix, "share", "tsdask-mpi", "python"),
    });
    expect(rows[0]).toMatchObject({ code: "TSD-047", text: expect.stringContaining(python) });
  } finally {
    rmSync(prefix, { recursive: true });
  }
});

test("a folder in the place of the scheduler file is said as a launch would say it", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "doctor-"));
  try {
    const context = await contextIn(cwd);
    const options = { ...context.options, schedulerFile: join(cwd, "scheduler.json") };
    const row = async (): Promise<Row | undefined> =>
      (await fileRows({ ...context, options })).find(({ name }) => name === "scheduler.json");
    expect(await row()).toMatchObject({ state: "ok" });
    mkdirSync(join(cwd, "scheduler.json"));
    expect(await row()).toMatchObject({ state: "error", code: "TSD-026" });
  } finally {
    rmSync(cwd, { recursive: true });
  }
});

test("a site's file that cannot be read is told, and the rest is looked at with what is right without files", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "doctor-"));
  try {
    // It stands for /etc/tsdask-mpi.yaml, which is read where no variable names another.
    const broken = join(cwd, "site.yaml");
    writeFileSync(broken, "nthreads: [2\n");
    const context = await doctorContext({ argv: [], env: { PATH: "/none", HOME: cwd, TMPDIR: cwd }, cwd }, (input) =>
      readOptions({ ...input, siteFile: input.env["TSDASK_SITE_CONFIG"] ?? broken }),
    );
    expect(context).toMatchObject({
      readProblem: { code: "TSD-009" },
      read: undefined,
      options: { jupyter: undefined },
    });
  } finally {
    rmSync(cwd, { recursive: true });
  }
});
