import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { covers } from "../batch/covers.ts";
import { jobEnvironment, markedScript, ours } from "./batch-jobs.ts";
import { command } from "./bed/command.ts";
import { hostsAvailable, startHosts, type Hosts } from "./bed/hosts.ts";
import { availableLaunchers } from "./bed/launchers.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { run, start, tell, type Finished } from "./bed/run.ts";
import { script } from "./launch.ts";

/**
 * PBS does not run here: what its commands say is recorded from its documentation, its environment from real jobs of
 * OpenPBS.
 */
const id = "1234.pbs01";

/** `qstat -f` of a job that started now, with this walltime. */
function qstatText(walltime: string): string {
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const now = new Date();
  const two = (n: number): string => String(n).padStart(2, "0");
  const stime = `${now.toDateString().slice(0, 3)} ${months[now.getMonth()]} ${String(now.getDate()).padStart(2)} ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())} ${now.getFullYear()}`;
  return `Job Id: ${id}\n    Job_Name = dask\n    job_state = R\n    exec_host = h1/0*2+h2/0\n    exec_vnode = (h1:ncpus=2:mem=4gb)+(h2:ncpus=1:mem=524288kb)\n    Resource_List.walltime = ${walltime}\n    stime = ${stime}\n    run_count = 1\n    Submit_Host = login1\n\n`;
}

/** A PBS job's environment: its host file with a line for each rank, and commands that answer what was recorded. */
function pbsEnvironment(
  clean: Clean,
  { hosts, walltime = "01:00:00" }: { readonly hosts: readonly string[]; readonly walltime?: string },
): Record<string, string> {
  const answer = clean.write("pbs/qstat.txt", qstatText(walltime));
  clean.write(
    "pbs/qstat",
    `#!/bin/sh\ncase "$*" in "-f ${id}") cat ${answer} ;; *) echo "qstat: Unknown Job Id $2" >&2; exit 153 ;; esac\n`,
  );
  clean.write(
    "pbs/qsub",
    '#!/bin/sh\ncase "$*" in *nope*) echo "qsub: Unknown queue" >&2; exit 170 ;; *) echo 1235.pbs01 ;; esac\n',
  );
  clean.write("pbs/qdel", `#!/bin/sh\necho "$@" >> ${join(clean.folder, "pbs/deleted")}\n`);
  clean.allow(/^pbs\/deleted$/);
  const env = jobEnvironment(clean);
  return {
    ...env,
    PATH: `${join(clean.folder, "pbs")}:${env["PATH"]}`,
    PBS_JOBID: id,
    PBS_NODEFILE: clean.write("pbs/nodefile", `${hosts.join("\n")}\n`),
    PBS_O_HOST: "login1",
    PBS_O_WORKDIR: clean.folder,
    PBS_ENVIRONMENT: "PBS_BATCH",
    PBS_QUEUE: "workq",
  };
}

/** An mpirun that reaches the test's hosts, as an array of bash. */
function mpirunOf(hosts: Hosts, kind: "openmpi4" | "mpich4"): string {
  const { args } = hosts.mpirun(kind, { h1: 1 }, ["true"]);
  const agent = args[args.indexOf(kind === "openmpi4" ? "plm_rsh_agent" : "-launcher-exec") + 1];
  return kind === "openmpi4"
    ? `(mpirun.openmpi --mca plm_rsh_agent ${agent} --mca oob_tcp_if_include 10.77.0.0/24)`
    : `(mpirun.mpich -launcher ssh -launcher-exec ${agent})`;
}

const kinds = availableLaunchers("openmpi4", "mpich4").map(({ name }) => name as "openmpi4" | "mpich4");

describe.runIf(hostsAvailable() === true).each(kinds)("scripts/pbs on two hosts with %s", (kind) => {
  test("batch.sh starts a rank for each line of the host file, and ends with the script's exit code", async () => {
    await using hosts = await startHosts({ names: ["h1", "h2"] });
    await using clean = nothingLeft();
    const file = clean.write("analysis.py", script);
    const text = markedScript("pbs", "batch.sh", [
      [/^script=.*$/m, `script=(--wait-workers all ${file} 7)`],
      [/^mpirun=.*$/m, `mpirun=${mpirunOf(hosts, kind)}`],
    ]);
    const env = pbsEnvironment(clean, { hosts: ["h1", "h1", "h2", "h2"] });
    const finished = await run(hosts.on("h1", ["bash", clean.write("batch.sh", text)]), {
      folder: clean.folder,
      env,
    });
    expect(finished, tell(finished)).toMatchObject({ code: 7 });
    expect(finished.stdout).toContain("workers 2 hosts h2 total 499500");
    expect(finished.stderr).toContain("4 ranks");
    covers("pbs", ["script"]);
  });

  test("gpu.sh puts two ranks more on the first host, and gives each worker a GPU of its own", async () => {
    await using hosts = await startHosts({ names: ["h1", "h2"] });
    await using clean = nothingLeft();
    clean.write(
      "analysis.py",
      `
import os, socket
from dask.distributed import Client

def seen():
    return "%s gpu=%s" % (socket.gethostname(), os.environ.get("CUDA_VISIBLE_DEVICES"))

if __name__ == "__main__":
    with Client() as client:
        client.wait_for_workers(4)
        for line in sorted(client.run(seen).values()):
            print("worker", line, flush=True)
`,
    );
    const text = markedScript("pbs", "gpu.sh", [
      [/^gpus=4/m, "gpus=2"],
      [/^mpirun=.*$/m, `mpirun=${mpirunOf(hosts, kind)}`],
    ]);
    const env = pbsEnvironment(clean, { hosts: ["h1", "h1", "h2", "h2"] });
    const finished = await run(hosts.on("h1", ["bash", clean.write("gpu.sh", text)]), {
      folder: clean.folder,
      env,
    });
    expect(finished, tell(finished)).toMatchObject({ code: 0 });
    expect(finished.stdout.match(/^worker .*$/gm)).toEqual([
      "worker h1 gpu=0",
      "worker h1 gpu=1",
      "worker h2 gpu=0",
      "worker h2 gpu=1",
    ]);
  });
});

test.runIf(hostsAvailable() === true).concurrent.each(kinds)(
  "workers.sh joins a cluster of another host, and leaves it before the walltime that qstat tells, with %s",
  async (kind) => {
    await using hosts = await startHosts({ names: ["h1", "h2"] });
    await using clean = nothingLeft({ within: 15 });
    const env = jobEnvironment(clean);
    await using cluster = start(hosts.on("h1", ours("--np", "2")), { folder: clean.folder, env, deadline: 280 });
    await cluster.says(/the worker is in/);
    const text = markedScript("pbs", "workers.sh", [[/^mpirun=.*$/m, `mpirun=${mpirunOf(hosts, kind)}`]]);
    const within = (seconds: number): Promise<Finished> =>
      run(hosts.on("h2", ["bash", clean.write("workers.sh", text)]), {
        folder: clean.folder,
        env: pbsEnvironment(clean, {
          hosts: ["h2", "h2"],
          walltime: `00:${seconds < 60 ? "00" : "01"}:${seconds % 60}`,
        }),
      });
    // A slow machine may need the second one for both to come.
    let [walltime, finished] = [25, await within(25)];
    if (!finished.stderr.includes("all 2 workers are in")) [walltime, finished] = [90, await within(90)];
    expect(finished, tell(finished)).toMatchObject({ code: 0 });
    expect(finished.stderr).toContain("all 2 workers are in");
    expect(finished.seconds).toBeLessThan(walltime);
    cluster.signal("SIGTERM");
    await cluster.finished;
    covers("pbs", ["join", "drain"]);
  },
);

test
  .runIf(hostsAvailable() === true && kinds.length > 0)
  .concurrent("jupyter.sh serves JupyterLab until it is deleted, and prints the line for ssh", async () => {
    await using hosts = await startHosts({ names: ["h1"] });
    await using clean = nothingLeft({ within: 15 });
    const text = markedScript("pbs", "jupyter.sh", [
      [/^mpirun=.*$/m, `mpirun=${mpirunOf(hosts, kinds[0] ?? "mpich4")}`],
    ]);
    clean.allow(/^node-compile-cache/); // JupyterLab's own Node leaves it.
    const env = pbsEnvironment(clean, { hosts: ["h1", "h1", "h1"] });
    const job = hosts.on("h1", ["bash", clean.write("jupyter.sh", text)]);
    await using running = start(job, { folder: clean.folder, env });
    await running.says(/ssh .*-N.*-L/);
    running.signal("SIGTERM");
    await running.finished;
    covers("pbs", ["notebook"]);
  });

test.runIf(hostsAvailable() === true).each(kinds)(
  "a host that %s reached over ssh, without the job's variables, gives its worker what PBS granted there",
  async (kind) => {
    await using hosts = await startHosts({ names: ["h1", "h2"] });
    await using clean = nothingLeft();
    const env = { ...pbsEnvironment(clean, { hosts: ["h1", "h1", "h2"] }), NCPUS: "2" };
    const file = clean.write(
      "granted.py",
      `
from dask.distributed import Client
if __name__ == "__main__":
    with Client() as client:
        for worker in client.scheduler_info()["workers"].values():
            print("threads", worker["nthreads"], "memory", worker["memory_limit"] / 2**20, flush=True)
`,
    );
    const { file: launch, args } = hosts.mpirun(kind, { h1: 2, h2: 1 }, ["tsdask-mpi", "--wait-workers", "all", file]);
    const agent = args.findIndex((word) => word.endsWith("/agent"));
    const text = `#!/bin/sh\nunset PBS_JOBID PBS_NODEFILE NCPUS PBS_QUEUE PBS_O_HOST\nexec ${args[agent]} "$@"\n`;
    const words = args.map((word, index) => (index === agent ? clean.write("ssh", text) : word));
    const finished = await run({ file: launch, args: words, env: {} }, { folder: clean.folder, env });
    expect(finished, tell(finished)).toMatchObject({ code: 0, stdout: "threads 1 memory 512.0\n" });
    covers("pbs", ["limits"]);
  },
);

test("script pbs --submit prints the id that qsub gave, and its words when it refuses", async () => {
  await using clean = nothingLeft();
  const env = pbsEnvironment(clean, { hosts: ["h1"] });
  const submitted = await run(ours("script", "pbs", "--submit", "analysis.py"), { folder: clean.folder, env });
  expect(submitted, tell(submitted)).toMatchObject({ code: 0, stdout: "1235.pbs01\n" });
  clean.write("nope.sh", "");
  const refused = await run(
    ours("script", "pbs", "--queue", "nope", "-o", "nope.sh", "--force", "--submit", "analysis.py"),
    { folder: clean.folder, env },
  );
  expect(refused, tell(refused)).toMatchObject({ code: 69, stdout: "" });
  expect(refused.stderr).toMatch(/TSD-090 pbs refused the job: qsub: Unknown queue\n.*\n.*qstat -Q/);
  expect(readFileSync(join(clean.folder, "nope.sh"), "utf8")).toContain("#PBS -q nope");
});

test("the jobs of scale are deleted with qdel", async () => {
  await using clean = nothingLeft({ within: 15 });
  const env = pbsEnvironment(clean, { hosts: ["h1"] });
  await using cluster = start(ours("--np", "2", "--dashboard-address", ":0"), {
    folder: clean.folder,
    env: jobEnvironment(clean),
  });
  await cluster.says(/the worker is in/);
  const words = ["--batch", "pbs", "--workers-per-job", "2"];
  const asked = join(clean.folder, "pbs/asked");
  clean.write("pbs/qsub", `#!/bin/sh\nprintf '%s\\n' "$@" > ${asked}\nenv >> ${asked}\necho 1235.pbs01\n`);
  clean.allow(/^pbs\/asked$/);
  const up = await run(ours("scale", "3", ...words), { folder: clean.folder, env });
  expect(up, tell(up)).toMatchObject({ code: 0, stdout: "1235.pbs01\n" });
  const mark = /TSDASK_WORKER_JOB=[^\s,]+/.exec(readFileSync(asked, "utf8"))?.[0];
  const shown = `Job Id: 1235.pbs01\\n    job_state = Q\\n    Variable_List = PBS_O_HOST=login1,${mark}\\n\\n`;
  clean.write("pbs/qstat", `#!/bin/sh\nprintf "${shown}"\n`);
  const down = await run(ours("scale", "0", ...words), { folder: clean.folder, env });
  expect(down.stderr).toContain("1 job (1235.pbs01) cancelled before any worker joined");
  expect(readFileSync(join(clean.folder, "pbs/deleted"), "utf8")).toBe("1235.pbs01\n");
  covers("pbs", ["scale"]);
  cluster.signal("SIGTERM");
  await cluster.finished;
});

test("a script of bash reads its own quoting back", async () => {
  await using clean = nothingLeft();
  const env = pbsEnvironment(clean, { hosts: ["h1"] });
  const text = (
    await run(ours("script", "pbs", "--launcher", "echo", "--env", "A=it's $HOME", "--", "a b", "c'd", '"$x"'), {
      folder: clean.folder,
      env,
    })
  ).stdout;
  const finished = await run(command("bash", clean.write("job.sh", `${text}printf '%s' "$A"\n`)), {
    folder: clean.folder,
    env,
  });
  expect(finished.stdout).toMatch(/tsdask-mpi a b c'd "\$x"\nit's \$HOME$/);
});
