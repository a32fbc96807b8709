import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Command, isRoot, which } from "../bed/command.ts";
import { type Clean, nothingLeft } from "../bed/left.ts";
import { availablePythons, python } from "../bed/pythons.ts";
import { run, tell } from "../bed/run.ts";
import { tsdask } from "../launch.ts";
import { expectTold, type Seeded, tellsAndMends } from "./seeded.ts";

const through =
  (...words: readonly string[]) =>
  ({ file, args, env }: Command): Command => ({ file: words[0] ?? "", args: [...words.slice(1), file, ...args], env });
const shell = (line: string): ((command: Command) => Command) => through("sh", "-c", `${line}; exec "$0" "$@"`);
/** A library of libraries that are not what they are called. */
const foreign = (same: Command, clean: Clean): Command => {
  const libm = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6"].find(
    existsSync,
  );
  mkdirSync(join(clean.tmp, "lib"), { recursive: true });
  for (const name of ["libz.so.1", "libssl.so.3", "libcrypto.so.3", "libffi.so.8"])
    copyFileSync(libm ?? "", join(clean.tmp, "lib", name));
  clean.allow(/^lib(\/|$)/);
  return { ...same, env: { ...same.env, LD_LIBRARY_PATH: join(clean.tmp, "lib") } };
};
const debian = availablePythons().find(({ path }) => path === "/usr/bin/python3");
const bad = "distributed:\n  scheduler: [\n";
const preload = 'def dask_setup(server):\n    raise RuntimeError("no licence")\n';
const onlyHere = `import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import helper
from dask.distributed import Client
if __name__ == "__main__":
    print(Client().submit(helper.double, 2).result())
`;

/**
 * A module that hides one of Python's or Dask's: in a folder of PYTHONPATH, where it breaks every Python, or beside the
 * script.
 */
const hidden = (module: string, folder: "" | "mine/" = ""): Seeded => {
  const file = `${folder}${module}.py`;
  const env = folder === "" ? {} : { env: { PYTHONPATH: "{folder}/mine" } };
  const renamed = folder === "" ? {} : { [`${folder}my_${module}.py`]: "x = 1\n" };
  return {
    name: folder === "" ? `a ${file} beside the script` : `a ${module}.py in PYTHONPATH`,
    files: { [file]: "x = 1\n" },
    ...env,
    code: folder === "" ? "TSD-155" : "TSD-047",
    exit: folder === "" ? 1 : 69,
    names: new RegExp(`${file.replace(".", "\\.")} hides the module ${module}`),
    says: /Rename the file/,
    cure: { ...env, files: { [file]: null, ...renamed } },
  };
};

const faults: readonly Seeded[] = [
  {
    name: "a YAML file of Dask's that is none",
    files: { "conf/a.yaml": bad },
    env: { DASK_CONFIG: "{folder}/conf" },
    code: "TSD-047",
    exit: 69,
    names: /conf\/a\.yaml, line \d/,
    says: /Mend that line/,
    cure: { files: { "conf/a.yaml": "distributed: {}\n" }, env: { DASK_CONFIG: "{folder}/conf" } },
  },
  {
    name: "encryption that Dask's configuration asks for, and the options do not",
    files: { "conf/a.yaml": "distributed:\n  comm:\n    require-encryption: true\n" },
    env: { DASK_CONFIG: "{folder}/conf" },
    options: ["--security", "none"],
    code: "TSD-050",
    exit: 69,
    names: /require-encryption/,
    says: /Leave out --security none/,
    cure: { env: { DASK_CONFIG: "{folder}/conf" } },
  },
  {
    name: "a preload that is not there",
    options: ["--preload", "no_such_module"],
    code: "TSD-050",
    exit: 69,
    names: /no_such_module/,
    says: /leave it out/,
    cure: {},
  },
  {
    name: "a preload that raises when it is imported",
    files: { "pre.py": "x = 1\nraise RuntimeError('no licence')\n" },
    options: ["--preload", "./pre.py"],
    code: "TSD-154",
    exit: 69,
    names: /no licence \(.*pre\.py:2\)/,
    says: /Mend it at that line/,
    cure: { files: { "pre.py": "x = 1\n" }, options: ["--preload", "./pre.py"] },
  },
  {
    name: "a preload whose dask_setup raises",
    files: { "pre.py": preload },
    options: ["--preload", "./pre.py"],
    code: "TSD-154",
    exit: 69,
    names: /no licence \(.*pre\.py:2\)/,
    says: /leave it out of --preload/,
    cure: { options: [] },
  },
  {
    name: "a preload of the workers alone that raises",
    files: { "pre/licence.py": preload, "conf/a.yaml": "distributed:\n  worker:\n    preload: [licence]\n" },
    env: { DASK_CONFIG: "{folder}/conf", PYTHONPATH: "{folder}/pre" },
    code: "TSD-154",
    exit: 69,
    names: /preload of the worker failed: licence: RuntimeError: no licence/,
    says: /distributed\.worker\.preload/,
    cure: {},
  },
  {
    name: "PYTHONHOME of another Python",
    env: { PYTHONHOME: "/nowhere" },
    code: "TSD-047",
    exit: 69,
    names: /PYTHONHOME is \/nowhere/,
    says: /unset PYTHONHOME/,
    cure: {},
  },
  {
    name: "libraries of another Python",
    wrap: foreign,
    code: "TSD-047",
    exit: 69,
    names: /LD_LIBRARY_PATH is \//,
    says: /env -u LD_LIBRARY_PATH/,
    cure: {},
  },
  hidden("logging", "mine/"),
  hidden("distributed", "mine/"),
  {
    name: "an installation that is damaged",
    files: { "mine/msgpack/__init__.py": "import os\nos.no_such_function()\n" },
    env: { PYTHONPATH: "{folder}/mine" },
    code: "TSD-047",
    exit: 69,
    names: /msgpack\/__init__\.py:2/,
    says: /install that package again/,
    cure: {},
  },
  hidden("logging"),
  hidden("distributed"),
  {
    name: "TMPDIR that is not there",
    env: { TMPDIR: "/nowhere" },
    code: "TSD-072",
    exit: 69,
    names: /temporary folder \/nowhere is not there/,
    says: /Set TMPDIR/,
    cure: {},
  },
  {
    name: "TMPDIR that is a file",
    files: { notes: "x" },
    env: { TMPDIR: "{folder}/notes" },
    code: "TSD-072",
    exit: 69,
    names: /temporary folder .*notes is not a folder/,
    says: /Set TMPDIR/,
    cure: {},
  },
  {
    name: "Jupyter that is in another Python",
    when: debian !== undefined,
    python: `--python ${debian?.path}`,
    options: ["--jupyter", "lab"],
    script: [],
    code: "TSD-161",
    exit: 64,
    names: /needs jupyterlab, which is not in \/usr\/bin\/python3/,
    says: /pip install jupyterlab/,
    cure: {},
  },
  {
    name: "a Python without Bokeh",
    files: { "mine/bokeh/__init__.py": "raise ImportError('no bokeh here')\n" },
    env: { PYTHONPATH: "{folder}/mine" },
    code: "TSD-158",
    exit: 0,
    names: /There is no dashboard: no bokeh here/,
    says: /pip install --upgrade bokeh/,
    cure: { env: { PYTHONPATH: "{folder}/mine" }, options: ["--no-dashboard"] },
  },
  {
    name: "a program that is not executable",
    files: { prog: "#!/bin/sh\necho hello\n" },
    wrap: (same, { folder }) => {
      chmodSync(join(folder, "prog"), 0o644);
      return same;
    },
    script: ["--", "./prog"],
    code: "TSD-052",
    exit: 64,
    names: /it is not executable/,
    says: /chmod \+x/,
    cure: {
      script: ["--", "./prog"],
      wrap: (same, { folder }) => {
        chmodSync(join(folder, "prog"), 0o755);
        return same;
      },
    },
  },
  {
    name: "a program of this folder that PATH does not have",
    files: { "prog.sh": "#!/bin/sh\necho hello\n" },
    script: ["prog.sh"],
    code: "TSD-052",
    exit: 64,
    names: /started as \.\/prog\.sh/,
    says: /\.\/name/,
    cure: { script: ["./prog.sh"] },
  },
  {
    name: "a drain that is longer than the walltime",
    options: ["--walltime", "20s", "--drain", "30s"],
    code: "TSD-007",
    exit: 64,
    names: /--walltime 20s and --drain 30s/,
    says: /part of the walltime/,
    cure: { options: ["--walltime", "10m", "--drain", "5s"] },
  },
  {
    name: "a single rank",
    np: 1,
    code: "TSD-002",
    exit: 64,
    names: /1 rank\(s\) were started, 3 are needed/,
    says: /-np 3/,
    cure: { np: 3 },
  },
  {
    name: "a module that only the script finds",
    files: { "script.py": onlyHere, "lib/helper.py": "def double(x):\n    return 2 * x\n" },
    code: "TSD-162",
    exit: 1,
    names: /has no module helper/,
    says: /PYTHONPATH/,
    cure: {
      files: { "script.py": onlyHere, "lib/helper.py": "def double(x):\n    return 2 * x\n" },
      env: { PYTHONPATH: "{folder}/lib" },
    },
  },
  {
    name: "an address space that is too small",
    wrap: shell("ulimit -v 1000000"),
    code: "TSD-156",
    exit: 64,
    names: /limit of address space on \S+ is too small: 976 MiB/,
    says: /ulimit -v/,
    cure: { wrap: shell("ulimit -v 8000000") },
  },
  {
    name: "a PATH that somebody has overwritten, and no Python",
    python: " ",
    env: { PATH: "/nonexistent", VIRTUAL_ENV: undefined, CONDA_PREFIX: undefined, TSDASK_NODE: process.execPath },
    code: "TSD-040",
    exit: 64,
    names: /neither python3 nor python is in PATH \(\/nonexistent\)/,
    says: /name it with --python/,
    cure: {},
  },
  {
    name: "a Python that is not there",
    python: "--python /nowhere/bin/python",
    code: "TSD-041",
    exit: 64,
    names: /\/nowhere\/bin\/python cannot be started .*it is not there/,
    says: /--version/,
    cure: {},
  },
  {
    name: "a script that is not there",
    script: ["scrpt.py"],
    code: "TSD-015",
    exit: 64,
    names: /scrpt\.py is not there/,
    says: /ls/,
    cure: {},
  },
  {
    name: "a misspelt option",
    options: ["--nthread", "2"],
    code: "TSD-006",
    exit: 64,
    names: /--nthread is not/,
    says: /Did you mean --nthreads\?/,
    cure: { options: ["--nthreads", "2"] },
  },
  {
    name: "a variable with a bad value",
    env: { TSDASK_NTHREADS: "two" },
    code: "TSD-003",
    exit: 64,
    names: /"two" \(from TSDASK_NTHREADS\)/,
    says: /whole number/,
    cure: { env: { TSDASK_NTHREADS: "2" } },
  },
  {
    name: "an address of no host",
    options: ["--host", "10.99.99.99"],
    code: "TSD-050",
    exit: 69,
    names: /--host or --interface names is not one of this host's/,
    says: /Leave out --host/,
    cure: {},
  },
  {
    name: "an interface of another host",
    options: ["--interface", "ib7"],
    code: "TSD-027",
    exit: 64,
    names: /ib7 .*This host has: lo/s,
    says: /leave it out/,
    cure: {},
  },
  {
    name: "a folder for what workers spill that cannot be made",
    files: { notes: "x" },
    options: ["--local-directory", "notes/scratch"],
    code: "TSD-207",
    exit: 69,
    names: /cannot be started on \S+: .*notes\/scratch/,
    says: /--local-directory \/tmp/,
    cure: {},
  },
  {
    name: "a worker class that is nowhere",
    options: ["--worker-class", "no_such_module.Worker"],
    code: "TSD-207",
    exit: 69,
    names: /No module named 'no_such_module'/,
    says: /correct its name/,
    cure: { options: ["--worker-class", "distributed.Worker"] },
  },
  {
    name: "an option that workers do not have",
    options: ["--worker-options", '{"no_such_option": 1}'],
    code: "TSD-207",
    exit: 69,
    names: /unexpected keyword argument 'no_such_option'/,
    says: /correct its name/,
    cure: { options: ["--worker-options", '{"validate": true}'] },
  },
  {
    name: "an option that this Dask does not have",
    options: ["--scheduler-options", '{"no_such_option": 1}'],
    code: "TSD-050",
    exit: 69,
    names: /no_such_option/,
    says: /Leave it out/,
    cure: {},
  },
];

describe("a fault that is seeded is named with its cause, and its cure works", () => {
  test.each(faults.filter(({ when = true }) => when))("$name", async (fault) => {
    await tellsAndMends(fault);
  });
});

/** What a test fills up goes away with its mount. */
const full = (path: string): (() => void) => {
  mkdirSync(path, { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", path]);
  return () => execFileSync("umount", ["-l", path]);
};
const fill = (path: string): void => {
  try {
    writeFileSync(join(path, "fill"), Buffer.alloc(8_000_000));
  } catch {
    // As full as it gets.
  }
};

describe.runIf(isRoot)("a file system that is full", () => {
  test.each([
    ["TMPDIR", "tmp", /temporary folder .* is full/, /Set TMPDIR/],
    ["the working folder", "work", /The file system is full/, /Free some space/],
  ] as const)("%s", async (_, name, names, says) => {
    await using clean = nothingLeft();
    const place = join(clean.tmp, name);
    const unmount = full(place);
    try {
      writeFileSync(join(place, "script.py"), "print('ran')\n");
      fill(place);
      const start = () =>
        run(
          { file: tsdask, args: ["--np", "3", "--python", python().path, join(place, "script.py")], env: {} },
          {
            folder: name === "work" ? place : clean.folder,
            env: { ...clean.env, ...(name === "tmp" ? { TMPDIR: place } : {}) },
          },
        );
      const failed = await start();
      expect(failed.code, tell(failed)).toBe(69);
      expectTold(failed.stderr, { code: "TSD-072", names, says });
      expect(execFileSync("ls", ["-A", place], { encoding: "utf8" }).trim().split("\n").sort()).toEqual([
        "fill",
        "script.py",
      ]);
      rmSync(join(place, "fill"));
      const mended = await start();
      expect(mended.code, tell(mended)).toBe(0);
    } finally {
      unmount();
      rmSync(place, { recursive: true, force: true });
    }
  });
});

describe.runIf(isRoot && which("prlimit") !== undefined && which("setpriv") !== undefined)(
  "limits of another user",
  () => {
    test("processes: named before Node starts", async () => {
      const words = [
        "--reuid=nobody",
        "--regid=nogroup",
        "--clear-groups",
        "prlimit",
        "--nproc=20",
        tsdask,
        "--np",
        "3",
        "script.py",
      ];
      const failed = await run(
        { file: "setpriv", args: words, env: {} },
        { folder: "/", env: { HOME: "/nonexistent" } },
      );
      expect(failed.code, tell(failed)).toBe(64);
      expectTold(failed.stderr, {
        code: "TSD-156",
        names: /limit of processes on \S+ is too small: 20/,
        says: /ulimit -u/,
      });
    });
  },
);

describe.each(["mpirun.openmpi", "mpirun.mpich"].filter((name) => which(name) !== undefined))("under %s", (mpirun) => {
  const words = mpirun === "mpirun.openmpi" ? ["--oversubscribe"] : [];
  const start = (clean: Clean, ...wrapper: string[]) =>
    run(
      {
        file: mpirun,
        args: [...words, "-np", "3", ...wrapper, tsdask, "--python", python().path, "script.py"],
        env: { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" },
      },
      { folder: clean.folder, env: clean.env },
    );

  test("an environment that was cleaned: said once, with what was started", async () => {
    await using clean = nothingLeft();
    clean.write("script.py", "print('ran')\n");
    const failed = await start(clean, "env", "-i", `PATH=${process.env["PATH"]}`);
    expect(failed.code, tell(failed)).toBe(64);
    expectTold(failed.stderr, {
      code: "TSD-001",
      names: /started this process, but none of its rank variables/,
      says: /let the variables through/,
    });
    const mended = await start(clean);
    expect(mended.code, tell(mended)).toBe(0);
  });
});

describe("a cluster to join", () => {
  const join = (clean: Clean, path: string) =>
    run(
      { file: tsdask, args: ["--np", "2", "--no-scheduler", "--python", path], env: {} },
      { folder: clean.folder, env: clean.env },
    );

  test("that is dead, though its file is there: said at once", async () => {
    await using clean = nothingLeft();
    // A port that was somebody's a moment ago.
    const port = await new Promise<number>((resolve) => {
      const server = createServer().listen(0, "127.0.0.1", () => {
        const { port: found } = server.address() as { port: number };
        server.close(() => resolve(found));
      });
    });
    const file = clean.write(
      "scheduler.json",
      JSON.stringify({ type: "Scheduler", id: "x", address: `tcp://127.0.0.1:${port}`, services: {}, workers: {} }),
    );
    chmodSync(file, 0o600);
    const failed = await run(
      { file: tsdask, args: ["--np", "2", "--no-scheduler", "--security", "none", "--python", python().path], env: {} },
      { folder: clean.folder, env: clean.env },
    );
    expect(failed.code, tell(failed)).toBe(69);
    // A second is usual, the rest is for a busy machine; one that answers late is waited for five minutes.
    expect(failed.seconds).toBeLessThan(60);
    expectTold(failed.stderr, {
      code: "TSD-087",
      names: /scheduler\.json does not answer any more/,
      says: /Remove the file/,
    });
  });

  test.runIf(debian !== undefined)("of another Dask: both are named", async () => {
    await using clean = nothingLeft();
    const { start } = await import("../bed/run.ts");
    await using cluster = start(
      { file: tsdask, args: ["--np", "2", "--python", python().path], env: {} },
      { folder: clean.folder, env: clean.env },
    );
    await cluster.says(/worker is in/);
    const failed = await join(clean, debian?.path ?? "");
    expect(failed.code, tell(failed)).toBe(64);
    expectTold(failed.stderr, {
      code: "TSD-157",
      names: /the cluster has Python .* distributed .*, \/usr\/bin\/python3 on/,
      says: /the cluster's environment/,
    });
    cluster.signal("SIGTERM");
    await cluster.finished;
  });
});

test.runIf(which("sbatch") !== undefined && !existsSync("/etc/slurm/slurm.conf"))(
  "a batch system that does not answer is not the job's fault",
  async () => {
    await using clean = nothingLeft();
    const failed = await run(
      { file: tsdask, args: ["script", "slurm", "--submit", "script.py"], env: {} },
      { folder: clean.folder, env: { ...clean.env, SLURM_CONF: undefined } },
    );
    expect(failed.code, tell(failed)).toBe(69);
    expectTold(failed.stderr, {
      code: "TSD-090",
      names: /slurm refused the job/,
      says: /does not answer on this host/,
    });
  },
);
