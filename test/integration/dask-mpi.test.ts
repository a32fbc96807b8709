import { existsSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { command, daskMpi, isRoot, projectRoot, which } from "./bed/command.ts";
import { nothingLeft } from "./bed/left.ts";
import { python } from "./bed/pythons.ts";
import { output, run, tell } from "./bed/run.ts";

/** dask-mpi as PyPI has it, with its own tests; npm test puts it there. */
const original = join(projectRoot, ".tools", "dask-mpi");
const theirTests = join(original, "dask_mpi", "tests", "test_cli.py");

if (existsSync(theirTests)) {
  describe("dask-mpi's own tests of its command line, unchanged, with our dask-mpi first in PATH", () => {
    for (const [name, program] of [["Open MPI", "mpirun.openmpi"], ["MPICH", "mpirun.mpich"]] as const) {
      if (which(program) === undefined) continue;
      it(`pass under ${name}`, { timeout: 320_000 }, async () => {
        await using clean = nothingLeft();
        clean.allow(/./); // Their tests leave files of their own in the working directory and in TMPDIR.
        const bin = await environmentWith(program, join(clean.tmp, "env"));
        const finished = await run(command(join(bin, "python"), "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "-o", "faulthandler_timeout=60", theirTests), {
          folder: clean.folder,
          env: {
            ...clean.env,
            PATH: [dirname(daskMpi), bin, process.env["PATH"]].join(delimiter),
            // Their fixture adds Open MPI's own option for root, which MPICH does not know.
            ...(isRoot && name === "Open MPI" ? { ALLOW_RUN_AS_ROOT: "1" } : {}),
            OMPI_MCA_rmaps_base_oversubscribe: "1",
          },
          deadline: 300,
        });
        expect(finished.code, tell(finished)).toBe(0);
        expect(finished.stdout).toMatch(/\d+ passed/);
      });
    }
  });
}

/** A Python environment that holds what ours holds and dask-mpi, with this mpirun: Dask's test helpers look for programs beside Python. */
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
