import { describe, expect, test } from "vitest";
import { hostsAvailable, startHosts } from "./bed/hosts.ts";
import { availableLaunchers, launcher } from "./bed/launchers.ts";
import { nothingLeft } from "./bed/left.ts";
import { availablePythons } from "./bed/pythons.ts";
import { run, tell } from "./bed/run.ts";
import { program, script, tsdask } from "./launch.ts";

describe.each(availableLaunchers().map((one) => [one.name, one] as const))("under %s", (_, one) => {
  test.each([0, 7])("the script computes on every worker and its exit code %i is the launcher's", async (code) => {
    await one.ready();
    await using clean = nothingLeft();
    const file = clean.write("script.py", script);
    const finished = await run(
      one.command(4, program("--wait-workers", "all", file, String(code)), { endsItself: true }),
      {
        folder: clean.folder,
        env: clean.env,
      },
    );
    expect(finished, tell(finished)).toMatchObject({ code, timedOut: false });
    expect(finished.stdout).toMatch(/^workers 2 hosts \S+ total 499500 scheme tls$/m);
  });
});

/** A rank that its launcher starts as soon as the others, and that takes its time: a prolog, a module, a slow disk. */
const late = (rank: number, seconds: number, words: readonly string[]): readonly string[] => [
  "/bin/sh",
  "-c",
  `[ "\${OMPI_COMM_WORLD_RANK-\${PMI_RANK-\${SLURM_PROCID}}}" != ${rank} ] || sleep ${seconds}; exec "$@"`,
  "sh",
  ...words,
];

const ofBothKinds = availableLaunchers("openmpi4", "mpich4", "srun-pmi2").map((one) => [one.name, one] as const);
describe.each(ofBothKinds)("a late rank under %s", (_, one) => {
  test.each([
    ["the first, which leads the others", 0, 4],
    ["the script's", 1, 3],
    ["a worker's", 3, 3],
  ])("%s, is waited for", async (_name, rank, seconds) => {
    await one.ready();
    await using clean = nothingLeft();
    const file = clean.write("script.py", script);
    const finished = await run(one.command(4, late(rank, seconds, program("--wait-workers", "all", file, "7"))), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(finished, tell(finished)).toMatchObject({ code: 7, timedOut: false });
    expect(finished.stdout).toMatch(/^workers 2 hosts \S+ total 499500 scheme tls$/m);
  });
});

const slurms = availableLaunchers("srun-pmi2", "srun-pmix", "srun-none");
describe.each(slurms.map((one) => [one.name, one] as const))("on two nodes under %s", (_, one) => {
  test("the hosts meet and the exit code comes back", async () => {
    await one.ready();
    await using clean = nothingLeft();
    const file = clean.write("script.py", script);
    const finished = await run(one.command(6, program("--wait-workers", "all", file, "7"), { nodes: 2 }), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(finished, tell(finished)).toMatchObject({ code: 7, timedOut: false });
    expect(finished.stdout).toContain("workers 4 ");
    expect(finished.stdout).toContain("total 499500");
  });
});

if (hostsAvailable() === true) {
  const kinds = availableLaunchers("openmpi4", "mpich4").map(({ name }) => name as "openmpi4" | "mpich4");
  describe.each(kinds)("on three hosts under %s", (kind) => {
    test.each([0, 7])("each its own hostname, the hosts meet and exit code %i comes back", async (code) => {
      await using hosts = await startHosts();
      await using clean = nothingLeft();
      const file = clean.write("script.py", script);
      const words = program("--wait-workers", "all", file, String(code));
      const finished = await run(hosts.mpirun(kind, { h1: 2, h2: 2, h3: 2 }, words), {
        folder: clean.folder,
        env: clean.env,
      });
      expect(finished, tell(finished)).toMatchObject({ code, timedOut: false });
      expect(finished.stdout).toMatch(/^workers 4 hosts h2,h3 total 499500 scheme tls$/m);
    });
  });
}

describe.each(availablePythons().map(({ name, path }) => [name, path] as const))("with %s", (_, path) => {
  test.each(["tls", "none"])("security %s, forked and started by itself", async (security) => {
    for (const spawn of ["fork", "exec"]) {
      await using clean = nothingLeft();
      const file = clean.write("script.py", script);
      const words = [
        tsdask,
        "--python",
        path,
        "--security",
        security,
        "--spawn",
        spawn,
        "--wait-workers",
        "all",
        file,
        "3",
      ];
      const finished = await run(launcher("local").command(4, words), {
        folder: clean.folder,
        env: clean.env,
      });
      expect(finished, tell(finished)).toMatchObject({ code: 3, timedOut: false });
      expect(finished.stdout).toContain(`scheme ${security === "tls" ? "tls" : "tcp"}`);
    }
  });
});

test.each(ofBothKinds)(
  "a Python whose headers knew neither pidfds nor prlimit, as conda's, under %s",
  async (_, one) => {
    await one.ready();
    await using clean = nothingLeft();
    const file = clean.write("script.py", `import os\nassert not hasattr(os, "pidfd_open")\n${script}`);
    clean.write(
      "sitecustomize.py",
      "import os, resource, signal\ndel os.pidfd_open, signal.pidfd_send_signal, resource.prlimit\n",
    );
    const finished = await run(one.command(5, program("--wait-workers", "all", file, "3"), { endsItself: true }), {
      folder: clean.folder,
      env: { ...clean.env, PYTHONPATH: clean.folder },
    });
    expect(finished, tell(finished)).toMatchObject({ code: 3, timedOut: false });
    expect(finished.stdout).toContain("workers 3");
    expect(finished.stderr).not.toMatch(/Traceback|AttributeError|pidfd/);
  },
);
