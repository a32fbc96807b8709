import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { JobSpec } from "../src/batch/script/job-spec.ts";
import { renderScript } from "../src/batch/script/render.ts";
import { command, projectRoot, which } from "./integration/bed/command.ts";
import { run } from "./integration/bed/run.ts";

// Every shell script of the repository, by its first line or its name.
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: projectRoot,
  encoding: "utf8",
}).split("\n");
const text = (path: string): string => readFileSync(join(projectRoot, path), "utf8");
const likely = tracked.filter(
  (path) => /^(bin|scripts|\.ci|test\/integration\/bed)\//.test(path) && !/\.(ts|mjs|js|py|md|ya?ml|json)$/.test(path),
);
const scripts = likely.filter((path) => path.endsWith(".sh") || /^#!.*\b(ba)?sh\b/.test(text(path)));

if (which("shellcheck") !== undefined) {
  test.each(scripts)("%s is clean under shellcheck", async (path) => {
    const finished = await run(command("shellcheck", "--external-sources", path), { folder: projectRoot });
    expect(finished.stdout + finished.stderr).toBe("");
  });
}

test("the scripts that start the commands and the project are POSIX sh", () => {
  for (const path of scripts.filter((name) => /^bin\/|^scripts\/(start|test)$/.test(name)))
    expect(text(path)).toMatch(/^#!\/bin\/sh\n/);
});

const spec: JobSpec = {
  ...{ name: "dask", nodes: 1, ranksPerNode: 3, threads: 1 },
  ...{ modules: [], setup: [], variables: {}, directives: [], command: "tsdask-mpi", words: ["a.py"] },
};

/** Job scripts with this launcher: those to copy, and those that are written. */
const withLauncher = (launcher: string): readonly (readonly [name: string, script: string])[] => [
  ...scripts
    .filter((path) => path.startsWith("scripts/pbs/"))
    .map((path) => [path, text(path).replace("mpirun=(mpirun)", `mpirun=(${launcher})`)] as const),
  ...(["pbs", "sge", "lsf"] as const).map((name) => [name, renderScript(name, { ...spec, launcher }).text] as const),
];

test("job scripts name a job's variables to Open MPI in a list, or by -x where their launcher has that: it refuses both", () => {
  const folder = mkdtempSync(join(tmpdir(), "tsdask-x-"));
  try {
    const shown = `echo "$OMPI_MCA_mca_base_env_list |" "$@"`;
    writeFileSync(join(folder, "mpirun"), `#!/bin/bash\n${shown}\n`, { mode: 0o755 });
    writeFileSync(join(folder, "hosts"), "h1 3\n");
    const env = {
      PATH: `${folder}:/usr/bin:/bin`,
      ...{ PBS_JOBID: "1", JOB_ID: "1", LSB_JOBID: "1", TSDASK_JOB: "local.1.1" },
      ...{ PBS_O_WORKDIR: folder, PBS_NODEFILE: join(folder, "hosts"), PE_HOSTFILE: join(folder, "hosts") },
    };
    const ran = (script: string): string =>
      execFileSync("bash", ["-c", script], { encoding: "utf8", env, stdio: ["ignore", "pipe", "inherit"] });
    for (const [name, script] of withLauncher("mpirun"))
      expect(ran(script), name).toMatch(/^(PBS_JOBID|JOB_ID|LSB_JOBID);TSDASK_JOB;? \|(?!.* -x )/);
    for (const [name, script] of withLauncher("mpirun -x PATH"))
      expect(ran(script), name).toMatch(/^ \| -x PATH -x (PBS_JOBID|JOB_ID|LSB_JOBID) -x TSDASK_JOB /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each(["slurm", "pbs"])("numa.sh for %s gives ranks the domains that have cores, in their order", (system) => {
  const folder = mkdtempSync(join(tmpdir(), "tsdask-numa-"));
  try {
    for (const [node, cores] of Object.entries({ node0: "0-3", node1: "", node2: "4-7", node10: "8-11" })) {
      mkdirSync(join(folder, node));
      writeFileSync(join(folder, node, "cpulist"), `${cores}\n`);
    }
    for (const name of ["taskset", "tsdask-mpi"])
      writeFileSync(join(folder, name), `#!/bin/sh\necho ${name} "$@"\n`, { mode: 0o755 });
    const numa = text(`scripts/${system}/numa.sh`).replaceAll("/sys/devices/system/node", folder);
    const bash = (script: string, rank?: number): string =>
      execFileSync("/bin/bash", ["-c", `${script}\nbash -c "$pick" rank "$domains" a.py`], {
        encoding: "utf8",
        env: { PATH: `${folder}:/usr/bin:/bin`, PMI_RANK: String(rank) },
        stdio: ["ignore", "pipe", "inherit"],
      }).trim();
    const picked = [/^domains=.*$/m, /^pick='[^']*'$/m].map((part) => part.exec(numa)?.[0] ?? "").join("\n");
    expect([0, 1, 2, 3, 4, 5].map((rank) => bash(picked, rank))).toEqual([
      "tsdask-mpi a.py",
      "tsdask-mpi a.py",
      "taskset -c 0-3 tsdask-mpi a.py",
      "taskset -c 4-7 tsdask-mpi a.py",
      "taskset -c 8-11 tsdask-mpi a.py",
      "taskset -c 0-3 tsdask-mpi a.py",
    ]);
    // A system without such folders.
    expect(bash(picked.replaceAll(folder, "/nowhere").replace("wc -l)", "wc -l); domains=1"), 2)).toBe(
      "tsdask-mpi a.py",
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
