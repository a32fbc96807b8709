import { chmodSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Command } from "../integration/bed/command.ts";
import { nothingLeft } from "../integration/bed/left.ts";
import { availablePythons, python } from "../integration/bed/pythons.ts";
import { run, tell } from "../integration/bed/run.ts";
import { tsdask } from "../integration/launch.ts";
import { doctorTells, type Seeded } from "../integration/faults/seeded.ts";

type Foretold = Omit<Seeded, "exit"> & { readonly state: "warning" | "error" };

const debian = availablePythons().find(({ path }) => path === "/usr/bin/python3");
const shell =
  (line: string) =>
  ({ file, args, env }: Command): Command => ({
    file: "sh",
    args: ["-c", `${line}; exec "$0" "$@"`, file, ...args],
    env,
  });

const faults: readonly Foretold[] = [
  {
    name: "an option with a bad value",
    options: ["--nthreads", "two"],
    state: "error",
    code: "TSD-003",
    names: /"two" \(from the command line\)/,
    says: /whole number/,
    cure: { options: ["--nthreads", "2"] },
  },
  {
    name: "an unknown option",
    options: ["--nthread", "2"],
    state: "error",
    code: "TSD-006",
    names: /--nthread/,
    says: /--nthreads/,
    cure: {},
  },
  {
    name: "a drain that is longer than the walltime",
    env: { TSDASK_WALLTIME: "20s", TSDASK_DRAIN: "30s" },
    state: "error",
    code: "TSD-007",
    names: /--drain 30s/,
    says: /part of the walltime/,
    cure: { env: { TSDASK_WALLTIME: "20m", TSDASK_DRAIN: "30s" } },
  },
  {
    name: "a site's file that is not YAML",
    files: { "site.yaml": "nthreads: [2\n" },
    env: { TSDASK_SITE_CONFIG: "{folder}/site.yaml" },
    state: "error",
    code: "TSD-009",
    names: /site\.yaml/,
    says: /Mend it/,
    cure: { files: { "site.yaml": "nthreads: 2\n" }, env: { TSDASK_SITE_CONFIG: "{folder}/site.yaml" } },
  },
  {
    name: "a site's file with an unknown name",
    files: { "site.yaml": "nthread: 2\n" },
    env: { TSDASK_SITE_CONFIG: "{folder}/site.yaml" },
    state: "error",
    code: "TSD-010",
    names: /nthread \(line 1\)/,
    says: /nthreads/,
    cure: { files: { "site.yaml": "nthreads: 2\n" }, env: { TSDASK_SITE_CONFIG: "{folder}/site.yaml" } },
  },
  {
    name: "launcher's variables of two launches",
    env: { OMPI_COMM_WORLD_RANK: "5", OMPI_COMM_WORLD_SIZE: "2" },
    state: "error",
    code: "TSD-013",
    names: /is 5, but .* is 2/,
    says: /one launcher only/,
    cure: {},
  },
  {
    name: "a launcher's variable that is no number",
    env: { OMPI_COMM_WORLD_RANK: "zero", OMPI_COMM_WORLD_SIZE: "2" },
    state: "error",
    code: "TSD-011",
    names: /OMPI_COMM_WORLD_RANK is zero/,
    says: /Unset it/,
    cure: {},
  },
  {
    name: "a Python that is not there",
    python: "--python /nowhere/python",
    state: "error",
    code: "TSD-041",
    names: /\/nowhere\/python cannot be started/,
    says: /--version/,
    cure: {},
  },
  {
    name: "no Python at all",
    python: " ",
    env: { PATH: "/nonexistent", VIRTUAL_ENV: undefined, CONDA_PREFIX: undefined, TSDASK_NODE: process.execPath },
    state: "error",
    code: "TSD-040",
    names: /No Python was found/,
    says: /--python/,
    cure: {},
  },
  {
    name: "a Python without Dask",
    files: { "mine/distributed/__init__.py": "import no_such_requirement\n" },
    env: { PYTHONPATH: "{folder}/mine" },
    state: "error",
    code: "TSD-043",
    names: /no module no_such_requirement/,
    says: /pip install/,
    cure: {},
  },
  {
    name: "a YAML file of Dask's that is none",
    files: { "conf/a.yaml": "distributed:\n  scheduler: [\n" },
    env: { DASK_CONFIG: "{folder}/conf" },
    state: "error",
    code: "TSD-047",
    names: /conf\/a\.yaml, line \d/,
    says: /Mend that line/,
    cure: {},
  },
  {
    name: "PYTHONHOME of another Python",
    env: { PYTHONHOME: "/nowhere" },
    state: "error",
    code: "TSD-047",
    names: /PYTHONHOME/,
    says: /unset PYTHONHOME/,
    cure: {},
  },
  {
    name: "a logging.py in PYTHONPATH",
    files: { "mine/logging.py": "x = 1\n" },
    env: { PYTHONPATH: "{folder}/mine" },
    state: "error",
    code: "TSD-047",
    names: /mine\/logging\.py hides/,
    says: /Rename/,
    cure: {},
  },
  {
    name: "an empty element of PYTHONPATH",
    env: { PYTHONPATH: ":/usr/share" },
    state: "warning",
    code: "TSD-127",
    names: /empty element/,
    says: /PYTHONPATH/,
    cure: { env: { PYTHONPATH: "/usr/share" } },
  },
  {
    name: "a queue.py in the working folder",
    files: { "queue.py": "x = 1\n" },
    state: "warning",
    code: "TSD-155",
    names: /queue\.py hides the module queue/,
    says: /Rename/,
    cure: { files: { "queue.py": null } },
  },
  {
    name: "a Python without Bokeh",
    when: debian !== undefined,
    python: `--python ${debian?.path}`,
    state: "warning",
    code: "TSD-158",
    names: /bokeh is not in \/usr\/bin\/python3/,
    says: /pip install --upgrade bokeh/,
    cure: {},
  },
  {
    name: "a Python without JupyterLab",
    when: debian !== undefined,
    python: `--python ${debian?.path}`,
    options: ["--jupyter", "lab"],
    state: "error",
    code: "TSD-161",
    names: /needs jupyterlab/,
    says: /pip install jupyterlab/,
    cure: { options: ["--jupyter", "lab"] },
  },
  {
    name: "a Python without JupyterHub",
    when: debian !== undefined,
    python: `--python ${debian?.path}`,
    options: ["--jupyter", "hub"],
    state: "error",
    code: "TSD-161",
    names: /--jupyter hub needs jupyterhub/,
    says: /pip install jupyterhub/,
    cure: {},
  },
  {
    name: "encryption that Dask asks for and the options do not",
    env: { DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION: "True" },
    options: ["--security", "none"],
    state: "error",
    code: "TSD-050",
    names: /require-encryption/,
    says: /--security none/,
    cure: { env: { DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION: "True" } },
  },
  {
    name: "an address of another host",
    options: ["--host", "10.99.99.99"],
    state: "error",
    code: "TSD-050",
    names: /--host 10\.99\.99\.99 is not an address of this host/,
    says: /Leave out --host/,
    cure: {},
  },
  {
    name: "an interface of another host",
    options: ["--interface", "ib7"],
    state: "error",
    code: "TSD-027",
    names: /ib7/,
    says: /leave it out/,
    cure: {},
  },
  {
    name: "TMPDIR that is not there",
    env: { TMPDIR: "/nowhere" },
    state: "error",
    code: "TSD-072",
    names: /\/nowhere is not there/,
    says: /Set TMPDIR/,
    cure: {},
  },
  {
    name: "a folder for scheduler.json that is not there",
    options: ["--scheduler-file", "results/scheduler.json"],
    state: "error",
    code: "TSD-072",
    names: /results/,
    says: /Create it/,
    cure: { files: { "results/.keep": "" }, options: ["--scheduler-file", "results/scheduler.json"] },
  },
  {
    name: "a temporary folder that everyone may change",
    wrap: (same, { tmp, allow }) => {
      allow(/^open$/);
      mkdirSync(join(tmp, "open"), { recursive: true });
      chmodSync(join(tmp, "open"), 0o777);
      return { ...same, env: { ...same.env, TMPDIR: join(tmp, "open") } };
    },
    env: { TMPDIR: "{folder}/../tmp/open" },
    state: "error",
    code: "TSD-071",
    names: /no sticky bit/,
    says: /mkdir -m 700/,
    cure: {
      wrap: (same, { tmp }) => {
        chmodSync(join(tmp, "open"), 0o700);
        return same;
      },
    },
  },
  {
    name: "a working folder that everyone may change",
    wrap: (same, { folder }) => {
      chmodSync(folder, 0o777);
      return same;
    },
    state: "error",
    code: "TSD-071",
    names: /writable for all and has no sticky bit/,
    says: /chmod go-w/,
    cure: {
      wrap: (same, { folder }) => {
        chmodSync(folder, 0o700);
        return same;
      },
    },
  },
  {
    name: "a folder for what workers spill that cannot be made",
    files: { notes: "x" },
    options: ["--local-directory", "notes/scratch"],
    state: "error",
    code: "TSD-207",
    names: /notes\/scratch/,
    says: /--local-directory \/tmp/,
    cure: { files: { notes: null }, options: ["--local-directory", "notes/scratch"] },
  },
  {
    name: "a folder of Dask's own configuration for what workers spill that cannot be made",
    files: { notes: "x" },
    env: { DASK_TEMPORARY_DIRECTORY: "{folder}/notes/scratch" },
    state: "error",
    code: "TSD-207",
    names: /Dask's temporary-directory/,
    says: /--local-directory \/tmp/,
    cure: { files: { notes: null }, env: { DASK_TEMPORARY_DIRECTORY: "{folder}/notes/scratch" } },
  },
  {
    name: "a worker class that is nowhere",
    options: ["--worker-class", "no_such_module.Worker", "--preload", "licence"],
    files: { "licence.py": "x = 1\n" },
    state: "error",
    code: "TSD-207",
    names: /--worker-class names no_such_module, which is not in/,
    says: /correct its name/,
    cure: { options: ["--worker-class", "distributed.Nanny", "--warm", "json,dask.array"] },
  },
  {
    name: "a preload that is not there",
    options: ["--preload", "./pre.py --strict"],
    state: "error",
    code: "TSD-050",
    names: /--preload names \.\/pre\.py, which is not there/,
    says: /leave it out/,
    cure: { files: { "pre.py": "x = 1\n" }, options: ["--preload", "./pre.py --strict"] },
  },
  {
    name: "little memory for each worker",
    options: ["--np", "6", "--memory-limit", "50MB"],
    state: "warning",
    code: "TSD-198",
    names: /5 of 5 workers have little memory, the least of them 47\.7 MiB/,
    says: /fewer ranks/,
    cure: { options: ["--np", "6", "--memory-limit", "500MB"] },
  },
  {
    name: "few open files",
    wrap: shell("ulimit -n 256"),
    state: "warning",
    code: "TSD-051",
    names: /256 files may be open/,
    says: /ulimit -n 65536/,
    cure: { wrap: shell("ulimit -n 4096") },
  },
  {
    name: "a job whose batch system does not answer",
    env: { SLURM_JOB_ID: "123", PATH: "/usr/bin:/bin", SLURM_CONF: "/nonexistent" },
    state: "warning",
    code: "TSD-063",
    names: /end of this job is not known/,
    says: /--walltime/,
    cure: { env: { SLURM_JOB_ID: "123" }, options: ["--walltime", "2h"] },
  },
  {
    name: "certificates of the site's that are not there",
    options: ["--tls-ca-file", "ca.pem", "--tls-cert", "cert.pem", "--tls-key", "key.pem"],
    state: "error",
    code: "TSD-079",
    names: /ca\.pem|cert\.pem|key\.pem/,
    says: /.+/,
    cure: {},
  },
];

describe("the doctor names beforehand", () => {
  test.each(faults.filter(({ when = true }) => when))("$name", async (fault) => {
    await doctorTells(fault);
  });
});

/** What the doctor says of a machine that is slow. */
const slowness =
  /^ {2}warning (?:imports .+ s to import|.+ is slow: a small file took more than|spill .+\/s|name .+ did not answer for )/;

describe("the doctor", () => {
  const doctor = (...words: string[]): Command => ({
    file: tsdask,
    args: ["doctor", "--python", python().path, ...words],
    env: {},
  });

  test("has nothing to say where everything works, soon, and leaves nothing", async () => {
    await using clean = nothingLeft();
    const finished = await run(doctor(), { folder: clean.folder, env: clean.env });
    expect(finished.code, tell(finished)).toBe(0);
    // Where the tests' machine is slow, that is so, and said.
    const findings = finished.stdout.split("\n").filter((line) => /^ {2}(?:warning|ERROR) /.test(line));
    expect(
      findings.filter((line) => !slowness.test(line)),
      tell(finished),
    ).toEqual([]);
    if (findings.length === 0) expect(finished.stdout).toContain("All is well.");
    expect(finished.stderr).toBe("");
    // Before a Python that does not answer would be given up (`doctorPython`).
    expect(finished.seconds).toBeLessThan(20);
  });

  test("speaks JSON to programs", async () => {
    await using clean = nothingLeft();
    const { stdout, code } = await run(doctor("--json", "--interface", "ib7"), {
      folder: clean.folder,
      env: clean.env,
    });
    const { state, rows } = JSON.parse(stdout) as { state: string; rows: { state: string; code?: string }[] };
    expect([code, state]).toEqual([69, "error"]);
    expect(rows.filter((row) => row.state === "error").map((row) => row.code)).toEqual(["TSD-027"]);
  });

  test("makes a bundle without secrets and without other users' names, and never over another file", async () => {
    await using clean = nothingLeft();
    clean.allow(/^ticket\.txt$/);
    const env = {
      ...clean.env,
      HOME: "/home/me",
      USER: "me",
      TSDASK_TOKEN: "s3cr3t",
      PYTHONPATH: "/home/somebody/lib",
      DASK_X: "token=abcdefghij",
    };
    const first = await run(doctor("--bundle", "ticket.txt"), { folder: clean.folder, env });
    expect(first.code, tell(first)).toBe(0);
    const path = join(clean.folder, "ticket.txt");
    const text = readFileSync(path, "utf8");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(text).toContain("Installation");
    expect(text).toContain("PYTHONPATH=/home/[user]/lib");
    expect(text).not.toMatch(/s3cr3t|somebody|\/home\/me/);
    const second = await run(doctor("--bundle", "ticket.txt"), { folder: clean.folder, env });
    expect(second.code).toBe(64);
    expect(second.stderr).toContain("TSD-100");
  });
});
