import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Command, command, daskMpi, isRoot, projectRoot, which } from "./bed/command.ts";
import { nothingLeft } from "./bed/left.ts";
import { freePorts } from "./bed/ports.ts";
import { python } from "./bed/pythons.ts";
import { output, run, tell } from "./bed/run.ts";

/** dask-mpi as PyPI has it, with its own tests; npm test puts it there. */
const original = join(projectRoot, ".tools", "dask-mpi");
const theirTests = join(original, "dask_mpi", "tests", "test_cli.py");

/** What one of the files of tests may take (s), and a little more for the rest (ms). */
const deadline = 500;
const timeout = (deadline + 30) * 1000;

if (existsSync(theirTests)) {
  describe("dask-mpi's own tests of its command line, which may take longer, with our dask-mpi first in PATH", () => {
    for (const [name, program] of [
      ["Open MPI", "mpirun.openmpi"],
      ["MPICH", "mpirun.mpich"],
    ] as const) {
      if (which(program) === undefined) continue;
      it(`pass under ${name}`, { timeout }, async () => {
        await using clean = nothingLeft();
        clean.allow(/./); // Their tests leave files of their own in the working directory and in TMPDIR.
        const bin = await environmentWith(program, join(clean.tmp, "env"));
        const ports = await freePorts(2);
        const theirs = copyOfTheirs(join(clean.tmp, "theirs"), (text) => elsewhere(patient(text), ports));
        const finished = await run(pytest(bin, join(theirs, "test_cli.py")), {
          folder: clean.folder,
          env: {
            ...clean.env,
            PATH: [dirname(daskMpi), bin, process.env["PATH"]].join(delimiter),
            // Their fixture adds Open MPI's own option for root, which MPICH does not know.
            ...(isRoot && name === "Open MPI" ? { ALLOW_RUN_AS_ROOT: "1" } : {}),
            OMPI_MCA_rmaps_base_oversubscribe: "1",
          },
          deadline,
        });
        expect(finished.code, tell(finished)).toBe(0);
        expect(finished.stdout).toMatch(/\d+ passed/);
      });
    }
  });
}

/**
 * Where the MPI libraries of Debian's packages are that mpi4py is to use, by the name under which its wheels ask for
 * one.
 */
const libraries: Readonly<Record<string, string>> = { openmpi: "libmpi.so.40", mpich: "libmpich.so.12" };

if (existsSync(theirTests)) {
  describe("dask-mpi's own tests of initialize and execute, unchanged but for the import and the time that they may take", () => {
    for (const [name, program, abi] of [
      ["Open MPI", "mpirun.openmpi", "openmpi"],
      ["MPICH", "mpirun.mpich", "mpich"],
    ] as const) {
      const library = which(program) === undefined ? undefined : findLibrary(libraries[abi] ?? "");
      if (library === undefined) continue;
      it(`pass under ${name}`, { timeout }, async () => {
        await using clean = nothingLeft();
        clean.allow(/./); // Their copy, and what their tests leave.
        const bin = await environmentWith(program, join(clean.tmp, "env"));
        const theirs = copyOfTheirs(join(clean.tmp, "theirs"), (text) =>
          patient(text).replaceAll("from dask_mpi import", "from tsdask_mpi import"),
        );
        const shim = join(clean.tmp, "lib");
        mkdirSync(shim);
        // mpi4py's wheels look for MPICH by the name that its own releases have.
        if (abi === "mpich") symlinkSync(library, join(shim, "libmpi.so.12"));
        const files = ["test_initialize.py", "test_execute.py"].map((file) => join(theirs, file));
        const finished = await run(pytest(bin, ...files), {
          folder: clean.folder,
          env: {
            ...clean.env,
            PATH: [bin, process.env["PATH"]].join(delimiter),
            PYTHONPATH: join(projectRoot, "python"),
            LD_LIBRARY_PATH: shim,
            MPI4PY_MPIABI: abi,
            ...(isRoot && name === "Open MPI" ? { ALLOW_RUN_AS_ROOT: "1" } : {}),
            OMPI_MCA_rmaps_base_oversubscribe: "1",
          },
          deadline,
        });
        expect(finished.code, tell(finished)).toBe(0);
        expect(finished.stdout, tell(finished)).toMatch(/^12 passed/m);
      });
    }
  });
}

/** pytest in an environment, on these files or folders; a test that hangs says where. */
function pytest(bin: string, ...files: readonly string[]): Command {
  const words = ["-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "-o", "faulthandler_timeout=60"];
  return command(join(bin, "python"), ...words, ...files);
}

/** Their tests in a folder of their own, with what was changed in each file. */
function copyOfTheirs(folder: string, changed: (text: string) => string): string {
  mkdirSync(folder);
  const source = dirname(theirTests);
  for (const file of readdirSync(source).filter((each) => each.endsWith(".py")))
    writeFileSync(join(folder, file), changed(readFileSync(join(source, file), "utf8")));
  return folder;
}

/**
 * A test of theirs that gives a slow machine more than the ten, twenty and five seconds in which a launch must have
 * come so far.
 */
function patient(text: string): string {
  const waits = "while time() < start + 100 and json.load(open(fn)) == stale_json:\n        sleep(0.2)";
  return text
    .replaceAll(/\bstart \+ [12]0\b/g, "start + 100")
    .replace(/^ {4}sleep\(5\)$/m, `    sleep(5)\n    start = time()\n    ${waits}`);
}

/**
 * A test of theirs with other ports than its two, which others may have: where its launch does not come about, their
 * client waits for the scheduler file without end.
 */
function elsewhere(text: string, [scheduler, dashboard]: readonly number[]): string {
  return text.replaceAll(/\b56723\b/g, String(scheduler)).replaceAll(/\b59583\b/g, String(dashboard));
}

/** A shared library of the system's, by its name; undefined when it is not there. */
function findLibrary(name: string): string | undefined {
  const folders = readdirSync("/usr/lib")
    .filter((each) => each.endsWith("-linux-gnu"))
    .map((each) => join("/usr/lib", each));
  return [...folders, "/usr/lib64", "/usr/lib"].map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/**
 * A Python environment that holds what ours holds and dask-mpi, with this mpirun: Dask's test helpers look for programs
 * beside Python.
 */
async function environmentWith(mpirun: string, folder: string): Promise<string> {
  const script = "import sys, sysconfig; print(sysconfig.get_path('purelib'))";
  const theirs = (await output(command(python().path, "-c", script))).trim();
  await output(command(python().path, "-m", "venv", "--without-pip", folder));
  const bin = join(folder, "bin");
  const own = (await output(command(join(bin, "python"), "-c", script))).trim();
  writeFileSync(join(own, "shared.pth"), `${theirs}\n${original}\n`);
  // By its name: Open MPI takes an absolute path for its --prefix and puts its own folder first in PATH.
  writeFileSync(join(bin, "mpirun"), `#!/bin/sh\nexec ${mpirun} "$@"\n`, { mode: 0o755 });
  return bin;
}
