import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { covers } from "../batch/covers.ts";
import { computing, jobEnvironment, markedScript, mpiruns, ours, outputOf, sbatch, until } from "./batch-jobs.ts";
import { command, projectRoot, which } from "./bed/command.ts";
import { nothingLeft } from "./bed/left.ts";
import { output, run, start, tell } from "./bed/run.ts";
import { jobState, queuedJobs, queueEmpty, slurmAvailable, slurmVersion, startSlurm } from "./bed/slurm.ts";
import { program } from "./launch.ts";

/** Says what every worker sees, sorted, and exits with the code it is given. */
const analysis = `
import os, socket, sys
from dask.distributed import Client

def seen():
    return "%s gpu=%s cores=%s" % (socket.gethostname(), os.environ.get("CUDA_VISIBLE_DEVICES", "-"), len(os.sched_getaffinity(0)))

if __name__ == "__main__":
    with Client() as client:
        client.wait_for_workers(int(sys.argv[1]))
        for line in sorted(client.run(seen).values()):
            print("worker", line, flush=True)
        print("total", client.submit(sum, range(1000)).result(), flush=True)
    sys.exit(int(sys.argv[2]))
`;

const small: readonly (readonly [RegExp, string])[] = [
  [/--cpus-per-task=\d+/, "--cpus-per-task=1"],
  [/--mem=\S+/, "--mem=800M"],
  [/--time=\S+/, "--time=10"],
];
const launches = ["srun", ...mpiruns];

if (which("shellcheck") !== undefined) {
  test("shellcheck has nothing to say about any script", async () => {
    const files = ["slurm", "pbs"].flatMap((system) =>
      readdirSync(join(projectRoot, "scripts", system)).map((name) => join(projectRoot, "scripts", system, name)),
    );
    expect(files.length).toBe(10);
    await output(command("shellcheck", ...files));
  });
}

describe.runIf(slurmAvailable() === true)("scripts/slurm on a real Slurm", () => {
  test.each(launches)("batch.sh with %s computes, and the job ends with the script's exit code", async (launch) => {
    await startSlurm();
    await using clean = nothingLeft();
    clean.write("analysis.py", analysis);
    const file = clean.write(
      "batch.sh",
      markedScript("slurm", "batch.sh", [
        ...small,
        [/--ntasks-per-node=8/, "--ntasks-per-node=2"],
        [/^script=.*$/m, "script=(analysis.py 2 7)"],
        [/^launch=srun/m, `launch=${launch}`],
      ]),
    );
    clean.allow(/\.out$/);
    const id = await sbatch(clean, file);
    await queueEmpty(200);
    expect(outputOf(clean, id)).toContain("total 499500");
    expect(await output(command("scontrol", "show", "job", id), { env: jobEnvironment(clean) })).toContain(
      "ExitCode=7:0",
    );
    covers("slurm", ["script"], await slurmVersion());
  });

  test.each(launches)("gpu.sh with %s gives each worker a GPU of its node", async (launch) => {
    await startSlurm();
    await using clean = nothingLeft();
    clean.write("analysis.py", analysis);
    const edits: readonly (readonly [RegExp, string])[] = [
      [/^#SBATCH --gres.*\n/m, ""],
      [/^#SBATCH --exclusive$/m, "#SBATCH --mem=800M"],
      [/--time=\S+/, "--time=10"],
      [/^gpus=4/m, "gpus=2"],
      [/^script=.*$/m, "script=(analysis.py 4 0)"],
      [/^launch=srun/m, `launch=${launch}`],
    ];
    const file = clean.write("gpu.sh", markedScript("slurm", "gpu.sh", edits));
    clean.allow(/\.out$/);
    const id = await sbatch(clean, file);
    await queueEmpty(200);
    const said = outputOf(clean, id);
    expect(said.match(/^worker n\d gpu=\d/gm), said).toEqual([
      "worker n1 gpu=0",
      "worker n1 gpu=1",
      "worker n2 gpu=0",
      "worker n2 gpu=1",
    ]);
    expect(await jobState(id)).toBe("COMPLETED");
  });

  test.each(launches)("numa.sh with %s puts a worker on each domain of both nodes", async (launch) => {
    await startSlurm();
    await using clean = nothingLeft();
    const domains = Math.max(
      1,
      readdirSync("/sys/devices/system/node").filter(
        (name) => /^node\d+$/.test(name) && /\d/.test(readFileSync(`/sys/devices/system/node/${name}/cpulist`, "utf8")),
      ).length,
    );
    clean.write("analysis.py", analysis);
    const file = clean.write(
      "numa.sh",
      markedScript("slurm", "numa.sh", [
        [/--exclusive/, "--cpus-per-task=1"],
        [/--mem=0/, "--mem=800M"],
        [/--time=\S+/, "--time=10"],
        [/^script=.*$/m, `script=(analysis.py ${2 * domains} 0)`],
        [/^launch=srun/m, `launch=${launch}`],
      ]),
    );
    clean.allow(/\.out$/);
    const id = await sbatch(clean, file);
    await queueEmpty(200);
    const said = outputOf(clean, id);
    expect(said.match(/^worker n1 /gm), said).toHaveLength(domains);
    expect(said.match(/^worker n2 /gm), said).toHaveLength(domains);
  });

  test("jupyter.sh serves JupyterLab until it is cancelled, and prints the line for ssh without the token", async () => {
    await startSlurm();
    await using clean = nothingLeft({ within: 15 });
    const file = clean.write(
      "jupyter.sh",
      markedScript("slurm", "jupyter.sh", [...small, [/--ntasks-per-node=10/, "--ntasks-per-node=3"]]),
    );
    clean.allow(/\.out$/, /^node-compile-cache/); // JupyterLab's own Node leaves the second.
    const id = await sbatch(clean, file);
    const said = await until("the ssh line", 150, () =>
      /ssh .*-N.*-L/.test(outputOf(clean, id)) ? outputOf(clean, id) : undefined,
    );
    const shown = await run(ours("connect", "--json"), { folder: clean.folder, env: jobEnvironment(clean) });
    const token = /token=([\w-]{16,})/.exec(shown.stdout)?.[1] ?? "";
    expect(token, tell(shown)).not.toBe("");
    expect(said).not.toContain(token);
    await output(command("scancel", id), { env: jobEnvironment(clean) });
    await queueEmpty();
    covers("slurm", ["notebook"], await slurmVersion());
  });

  test("a script from options is submitted as it is, and the job's id is all that stands on stdout", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    clean.write("analysis.py", analysis);
    clean.allow(/\.out$/);
    const words = [
      "script",
      "slurm",
      "--ranks-per-node",
      "3",
      "--memory",
      "800MiB",
      "--time",
      "10m",
      "--submit",
      "analysis.py",
      "1",
      "0",
    ];
    const finished = await run(ours(...words), { folder: clean.folder, env: jobEnvironment(clean) });
    expect(finished, tell(finished)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\n$/) });
    await queueEmpty();
    expect(outputOf(clean, finished.stdout.trim())).toContain("total 499500");
  });

  const srun = ["srun", "--mpi=none"];
  test.each<[string, readonly string[], readonly string[]]>([
    ["a step in an allocation of two nodes", ["-N2", "--ntasks-per-node=2"], srun],
    ["a step beside another one", ["-N2", "--ntasks-per-node=2"], [...srun, "--overlap"]],
    ["a step of a part", ["-N2", "--ntasks-per-node=4"], [...srun, "--exact", "-n4", "--ntasks-per-node=2"]],
    ["a heterogeneous job", ["-N1", "-n2", "--mem=1G", ":", "-N1", "-n2"], [...srun, "--het-group=0,1"]],
  ])("%s is a cluster, and its last group's memory counts", async (_, allocation, step) => {
    await startSlurm();
    await using clean = nothingLeft({ within: 15 });
    const words = [...step, ...program("--wait-workers", "all", clean.write("analysis.py", analysis), "2", "5")];
    // The other step is there only where this one may overlap it.
    const beside = step.includes("--overlap") ? "srun --overlap --mpi=none sleep 280 & " : "";
    const inside = ["bash", "-c", `${beside}"$@"; code=$?; kill $(jobs -p) 2>/dev/null; exit $code`, "bash"];
    const finished = await run(command("salloc", ...allocation, "--mem=500M", ...inside, ...words), {
      folder: clean.folder,
      env: jobEnvironment(clean),
    });
    expect(finished, tell(finished)).toMatchObject({ code: 5 });
    expect(finished.stdout.match(/^worker n2 /gm)).toHaveLength(2);
    expect(finished.stderr).toContain("all 2 workers are in");
    expect(finished.stderr).toContain("500 MiB");
    await queueEmpty();
    covers("slurm", ["limits"], await slurmVersion());
  });

  test("what the workers use stands in the accounting of Slurm", async () => {
    await startSlurm();
    await using clean = nothingLeft({ within: 15 });
    const file = clean.write("computing.py", computing);
    const words = ["--mpi=none", "--nodes=1", "--ntasks=4", ...program("--report", "page.html", file)];
    clean.allow(/^page\.html$/);
    await using running = start(command("srun", ...words), {
      folder: clean.folder,
      env: jobEnvironment(clean),
    });
    const used = Number((await running.says(/^used (.+)\n/m))[1]);
    const [step = ""] = (await queuedJobs()).slice(-1);
    const counted = await until("what Slurm has counted", 100, async () => {
      const words = ["-n", "-P", "-a", "-j", step, "--format=TRESUsageInTot"];
      const { stdout } = await run(command("sstat", ...words), { env: jobEnvironment(clean) });
      const [, hours, minutes, seconds] = /cpu=(\d+):(\d+):(\d+)/.exec(stdout) ?? [];
      const sum = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
      // whole seconds, rounded down
      return sum + 1 > 0.95 * used ? sum : undefined;
    });
    expect(counted).toBeGreaterThan(4);
    covers("slurm", ["accounting"], await slurmVersion());
    // The launch's own page has it, as of a moment before; it is written ever more seldom.
    const page = (): string => readFileSync(join(clean.folder, "page.html"), "utf8");
    await until("the page has the job's accounting", 150, () =>
      /JobId=\d+[\s\S]*MaxRSS[\s\S]*while the job ran/.test(page()),
    );
    await output(command("scancel", step), { env: jobEnvironment(clean) });
    await running.finished;
    await queueEmpty();
  });

  test("--wait says when the job runs, why it does not, and ends at once for one that never will", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    clean.allow(/\.out$/);
    clean.write("analysis.py", "");
    const submit = (...words: string[]) =>
      run(ours("script", "slurm", "--memory", "500MiB", ...words, "--submit", "analysis.py"), {
        folder: clean.folder,
        env: jobEnvironment(clean),
      });
    const runs = await submit("--time", "2m", "--wait", "200s");
    expect(runs, tell(runs)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\n$/) });
    expect(runs.stderr).toMatch(/job \d+ (runs|has ended)\.\n$/);
    const never = await submit("--queue", "short", "--time", "10m", "--wait", "200s");
    expect(never, tell(never)).toMatchObject({ code: 69 });
    expect(never.stderr).toMatch(/TSD-141 slurm will not run \d+: Partition/);
    expect(never.seconds).toBeLessThan(150);
    const later = await submit("--time", "2m", "--directive=--begin=now+1hour", "--wait", "10s");
    expect(later, tell(later)).toMatchObject({ code: 69 });
    expect(later.stderr).toMatch(/waits: BeginTime.*\n.*does not run after 10 s; it stays in the queue/);
    covers("slurm", ["reasons"], await slurmVersion());
    await output(command("scancel", never.stdout.trim(), later.stdout.trim()), { env: jobEnvironment(clean) });
    await queueEmpty();
  });

  test.each([
    [
      "an unknown partition",
      ["--queue", "nope"],
      /TSD-090 slurm refused the job: .*[Ii]nvalid partition.*\n.*\n.*sinfo -s/,
    ],
    [
      "more memory than a node has",
      ["--memory", "900GiB"],
      /TSD-090 slurm refused the job: .*node configuration is not available.*\n.*\n.*sinfo -N/,
    ],
    ["GPUs where there are none", ["--gpus", "1"], /TSD-090 slurm refused the job: .*gres.*\n.*\n.*sinfo -N/],
    [
      "an option that does not exist",
      ["--node", "2"],
      /TSD-006 .*--node is not an option.*\n.*\n.*Did you mean --nodes/,
    ],
  ])("%s: Slurm's own words, and what to do", async (_, words, expected) => {
    await startSlurm();
    await using clean = nothingLeft();
    const before = await queuedJobs();
    const finished = await run(ours("script", "slurm", ...words, "--submit", "analysis.py"), {
      folder: clean.folder,
      env: jobEnvironment(clean),
    });
    expect(finished.code).not.toBe(0);
    expect(finished.stderr).toMatch(expected);
    expect(await queuedJobs()).toEqual(before);
  });
});
