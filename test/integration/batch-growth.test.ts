import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { covers } from "../batch/covers.ts";
import { jobEnvironment, markedScript, ours, outputOf, sbatch, tellWithJobs, until } from "./batch-jobs.ts";
import { command, which } from "./bed/command.ts";
import { launcher } from "./bed/launchers.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { signalAll } from "./bed/processes.ts";
import { python } from "./bed/pythons.ts";
import { output, run, start, tell, type Running } from "./bed/run.ts";
import { castOf } from "./faults/cast.ts";
import { program } from "./launch.ts";
import { jobState, queuedJobs, queueEmpty, slurmAvailable, slurmVersion, startSlurm } from "./bed/slurm.ts";

/**
 * Holds 60 results on the workers until the file `go` is there, then adds them up; each computation leaves a line in
 * `computed`.
 */
const holding = `
import os, sys, time
from dask.distributed import Client, wait

def make(i, path):
    with open(path, "a") as file:
        file.write("%d\\n" % i)
    time.sleep(0.02)
    return [i] * 1000

if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    with Client() as client:
        client.wait_for_workers(int(sys.argv[1]))
        held = client.map(make, range(60), path=os.path.join(folder, "computed"), pure=False)
        wait(held)
        print("held by", len(client.has_what()), flush=True)
        while not os.path.exists(os.path.join(folder, "go")):
            time.sleep(0.1)
        print("sum", sum(sum(part) for part in client.gather(held)), flush=True)
`;

/** Keeps the cluster busy with tasks of half a second until the file `go` is there; then looks whether all are done. */
const busy = `
import os, time
from dask.distributed import Client

if __name__ == "__main__":
    with Client() as client:
        parts = []
        while not os.path.exists("go"):
            wanted = 60 - sum(part.status == "pending" for part in parts)
            parts += client.map(lambda i: time.sleep(0.5) or i, range(len(parts), len(parts) + wanted))
            time.sleep(0.1)
        print("all done", client.gather(parts) == list(range(len(parts))), flush=True)
`;

/**
 * Asks for one group after the other, and waits until the first one's workers are gone; says what the workers have
 * while it computes.
 */
const asking = `
import time
from dask.distributed import Client

def have(client):
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return sorted(item for worker in workers for item in worker["resources"].items())

if __name__ == "__main__":
    with Client() as client:
        for name, tasks, workers in (("GPU", 10, 2), ("IO", 2, 1)):
            said, parts = [], []
            # However late the workers come, there is work for them until they are seen.
            while len(said) < workers or parts:
                parts = [part for part in parts if part.status == "pending"]
                wanted = tasks - len(parts) if len(said) < workers else 0
                parts += [client.submit(time.sleep, 0.5, pure=False, resources={name: 1}) for _ in range(wanted)]
                now = have(client)
                said = max(said, now, key=len)
                time.sleep(0.05)
            print(name, said, flush=True)
            while have(client):
                time.sleep(0.1)
`;

const waitingForGo = `
import os, time
from dask.distributed import Client

if __name__ == "__main__":
    with Client() as client:
        print("the script runs", flush=True)
        while not os.path.exists("go"):
            time.sleep(0.1)
`;

const pythonsOfWorkers = `
import sys
from dask.distributed import Client

if __name__ == "__main__":
    with Client() as client:
        found = client.run(lambda: __import__("sys").executable)
        print(len(found), *set(found.values()))
`;

const workerEdits: readonly (readonly [RegExp, string])[] = [
  [/--ntasks-per-node=4/, "--ntasks-per-node=2"],
  [/--cpus-per-task=2/, "--cpus-per-task=1"],
  [/--mem=16G/, "--mem=800M"],
  [/--time=\S+/, "--time=5"],
];

/** How long (s) the cluster may take for what it does within a few seconds on a machine that others leave alone. */
const patience = 120;

/** A cluster of a scheduler and one worker, by the built-in launcher; its scheduler.json is in the test's folder. */
async function cluster(clean: Clean, ...words: string[]): Promise<Running> {
  clean.allow(/\.out$/);
  const running = start(ours("--np", "2", "--dashboard-address", ":0", ...words), {
    folder: clean.folder,
    env: jobEnvironment(clean),
  });
  await running.says(/the worker is in/);
  return running;
}

async function workers(clean: Clean): Promise<number> {
  const { stdout, stderr } = await run(ours("connect", "--json"), { folder: clean.folder, env: jobEnvironment(clean) });
  if (stdout === "") throw new Error(stderr);
  return ((JSON.parse(stdout) as { workers: unknown[] | null }).workers ?? []).length;
}

/** The same where it is looked at again and again: -1 while a busy scheduler does not answer in time. */
async function polledWorkers(clean: Clean): Promise<number> {
  return await workers(clean).catch(() => -1);
}

/** Python with `Client()` connected to the cluster of this folder. */
async function client(clean: Clean, script: string, ...args: string[]): Promise<Running> {
  const lines = await output(ours("env", "--shell", "bash"), { folder: clean.folder, env: jobEnvironment(clean) });
  const shell = `eval "$1"; shift; exec "$@"`;
  return start(command("bash", "-c", shell, "bash", lines, python().path, script, ...args), {
    folder: clean.folder,
    env: jobEnvironment(clean),
  });
}

/**
 * From a shell that names no Python: worker jobs run in the cluster's own. A script of the user's own brings its
 * environment along, here that of the shell.
 */
async function scale(clean: Clean, ...words: string[]): Promise<string> {
  const finished = await run(ours("scale", ...words), {
    folder: clean.folder,
    env: { ...jobEnvironment(clean), ...(words.includes("--script") ? {} : { TSDASK_PYTHON: "" }) },
  });
  expect(finished, tellWithJobs(clean, finished)).toMatchObject({ code: 0 });
  return finished.stderr;
}

/** What a command says that is refused. */
async function refused(clean: Clean, ...words: string[]): Promise<string> {
  const finished = await run(ours(...words), { folder: clean.folder, env: jobEnvironment(clean) });
  expect(finished, tell(finished)).toMatchObject({ code: 64 });
  return finished.stderr;
}

/**
 * Runs `adapt` beside work and after it: up under load, down to the cluster's own worker without, and gone with the
 * cluster.
 */
async function upAndDown(clean: Clean, ...words: string[]): Promise<string> {
  await using running = await cluster(clean);
  await using adapting = start(
    ours("adapt", "--max", "5", "--interval", "500ms", "--wait-count", "2", "--target-duration", "1s", ...words),
    { folder: clean.folder, env: jobEnvironment(clean) },
  );
  await adapting.says(/between 0 and 5 workers/);
  clean.allow(/^go$/);
  await using work = await client(clean, clean.write("busy.py", busy));
  await until("more workers", patience, async () => (await polledWorkers(clean)) >= 3);
  writeFileSync(join(clean.folder, "go"), "");
  const worked = await work.finished;
  expect(worked.stdout, tell(worked)).toContain("all done True");
  await until("one worker again", patience, async () => (await polledWorkers(clean)) === 1);
  running.signal("SIGTERM");
  await running.finished;
  const ended = await adapting.finished;
  expect(ended, tellWithJobs(clean, ended)).toMatchObject({ code: 0 });
  expect(ended.stderr).toContain("the cluster has ended");
  return ended.stderr;
}

describe("without a batch system", () => {
  test("scale grows and shrinks a cluster, and no result is lost", async () => {
    await using clean = nothingLeft();
    await using running = await cluster(clean);
    await scale(clean, "4", "--batch", "local", "--wait", "200s");
    expect(await workers(clean)).toBe(4);
    await using asking = await client(clean, clean.write("asking.py", pythonsOfWorkers));
    expect((await asking.finished).stdout).toBe(`4 ${python().path}\n`);
    clean.allow(/^(computed|go)$/);
    await using work = await client(clean, clean.write("holding.py", holding), "4");
    await work.says(/held by 4/);
    expect(await scale(clean, "1", "--batch", "local")).toContain("3 jobs");
    expect(await workers(clean)).toBe(1);
    writeFileSync(join(clean.folder, "go"), "");
    expect((await work.finished).stdout).toContain("sum 1770000");
    expect(readFileSync(join(clean.folder, "computed"), "utf8").trim().split("\n")).toHaveLength(60);
    running.signal("SIGTERM");
    await running.finished;
  });

  test("adapt follows the work up and down, and ends with the cluster", async () => {
    await using clean = nothingLeft();
    await upAndDown(clean, "--batch", "local");
  });

  test("a second adapt for the same cluster is refused with the first one's process", async () => {
    await using clean = nothingLeft();
    await using running = await cluster(clean);
    await using first = start(ours("adapt", "--max", "2", "--batch", "local"), {
      folder: clean.folder,
      env: jobEnvironment(clean),
    });
    await first.says(/between 0 and 2/);
    const second = await run(ours("scale", "3", "--batch", "local"), {
      folder: clean.folder,
      env: jobEnvironment(clean),
    });
    expect(second, tell(second)).toMatchObject({ code: 69 });
    expect(second.stderr).toContain(`TSD-098 Another \`tsdask-mpi adapt\` (process ${first.pid} on `);
    first.signal("SIGINT");
    expect((await first.finished).code).toBe(130);
    running.signal("SIGTERM");
    await running.finished;
  });

  test("worker jobs that fail at once end adapt with their names, not with ever more jobs", async () => {
    await using clean = nothingLeft();
    await using running = await cluster(clean);
    const file = clean.write("broken.sh", "#!/bin/bash\necho no module >&2\nexit 3\n");
    const job = ["--batch", "local", "--script", file, "--workers-per-job", "1"];
    const finished = await run(ours("adapt", "--min", "2", "--max", "2", "--interval", "300ms", ...job), {
      folder: clean.folder,
      env: jobEnvironment(clean),
    });
    expect(finished, tell(finished)).toMatchObject({ code: 69 });
    expect(finished.stderr).toMatch(/TSD-097 3 worker job\(s\) ended before their workers joined: local\./);
    running.signal("SIGTERM");
    await running.finished;
  });
});

// Several waits after one another, each of which a busy machine may use up to a part.
describe.runIf(slurmAvailable() === true)("on a real Slurm", { timeout: 600_000 }, () => {
  test.each([
    ["it is cancelled", (id: string) => ["scancel", id]],
    ["a warning signal comes", (id: string) => ["scancel", "--signal=USR1", id]],
  ])("a job array joins, and when %s its results move to others before it leaves", async (_, signal) => {
    await startSlurm();
    await using clean = nothingLeft();
    await using running = await cluster(clean);
    clean.allow(/^(computed|go)$/);
    const id = await sbatch(
      clean,
      clean.write("workers.sh", markedScript("slurm", "workers.sh", workerEdits)),
      "--array=1-2",
    );
    await until("all five workers", patience, async () => (await polledWorkers(clean)) === 5);
    await using work = await client(clean, clean.write("holding.py", holding), "5");
    await work.says(/held by 5/);
    await output(command(signal(id)[0] ?? "", ...signal(id).slice(1)), { env: jobEnvironment(clean) });
    await until("one worker", patience, async () => (await polledWorkers(clean)) === 1);
    writeFileSync(join(clean.folder, "go"), "");
    const { stdout, stderr } = await work.finished;
    expect(stdout, stderr).toContain("sum 1770000");
    expect(readFileSync(join(clean.folder, "computed"), "utf8").trim().split("\n")).toHaveLength(60);
    await queueEmpty();
    running.signal("SIGTERM");
    await running.finished;
    covers("slurm", ["array", "join"], await slurmVersion());
  });

  test("scale submits and retires jobs of a script, counts pending ones in, and goes down to zero", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    await using running = await cluster(clean);
    const file = clean.write("workers.sh", markedScript("slurm", "workers.sh", workerEdits));
    const up = await scale(clean, "5", "--script", file, "--batch", "slurm");
    expect(up).toContain("2 jobs (");
    expect(await scale(clean, "5", "--script", file, "--batch", "slurm")).toContain("nothing to do");
    await scale(clean, "5", "--script", file, "--batch", "slurm", "--wait", "200s");
    expect(await workers(clean)).toBe(5);
    expect(await scale(clean, "3", "--script", file, "--batch", "slurm")).toContain("1 job (");
    expect(await workers(clean)).toBe(3);
    expect(await scale(clean, "0", "--script", file, "--batch", "slurm")).toContain(
      "1 worker was not brought by scale or adapt, and stays",
    );
    expect(await workers(clean)).toBe(1);
    await queueEmpty();
    running.signal("SIGTERM");
    await running.finished;
    covers("slurm", ["scale"], await slurmVersion());
  });

  test("a list that names another job of ours cancels nothing, also with the mark of that job read from the queue", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    await using running = await cluster(clean);
    const file = clean.write("workers.sh", markedScript("slurm", "workers.sh", workerEdits));
    const pending = ["--directive=--begin=now+1hour", "--time", "5m", "--memory", "500MiB"];
    await scale(clean, "5", "--batch", "slurm", ...pending);
    const [own = ""] = await queuedJobs();
    const other = await sbatch(clean, file, "--begin=now+1hour", "--comment=precious");
    const listPath = join(folderOf(clean), "jobs");
    const list = JSON.parse(readFileSync(listPath, "utf8")) as { key: string; jobs: { id: string }[] };
    const comment = await output(command("squeue", "-h", "-j", own, "-o", "%k"), { env: jobEnvironment(clean) });
    expect(comment).toMatch(/^tsdask-[0-9a-f]{24}$/m);
    const forged = { ...list, key: comment.replace(/\W|tsdask/g, "").padEnd(32, "0") };
    writeFileSync(listPath, JSON.stringify({ ...forged, jobs: [...list.jobs, { ...list.jobs[0], id: other }] }));
    const finished = await run(ours("scale", "0"), { folder: clean.folder, env: jobEnvironment(clean) });
    expect(finished, tell(finished)).toMatchObject({ code: 69 });
    expect(finished.stderr).toMatch(new RegExp(`TSD-135 .*${own}.*${other}`));
    expect(await queuedJobs()).toEqual(expect.arrayContaining([own, other]));
    // With the key it was written with, the list ends its own job and leaves the other one.
    writeFileSync(listPath, JSON.stringify({ ...list, jobs: [...list.jobs, { ...list.jobs[0], id: other }] }), {
      mode: 0o600,
    });
    const genuine = await run(ours("scale", "0"), { folder: clean.folder, env: jobEnvironment(clean) });
    expect(genuine.stderr, tell(genuine)).toMatch(new RegExp(`TSD-135 Jobs were not cancelled: ${other}\\.`));
    expect(await queuedJobs()).toEqual([other]);
    await output(command("scancel", other), { env: jobEnvironment(clean) });
    running.signal("SIGTERM");
    await running.finished;
    await queueEmpty();
  });

  test("adapt follows the work up and down, and leaves nothing in the queue", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    await upAndDown(
      clean,
      "--batch",
      "slurm",
      "--script",
      clean.write("workers.sh", markedScript("slurm", "workers.sh", workerEdits)),
    );
    await queueEmpty();
    covers("slurm", ["adapt"], await slurmVersion());
  });

  test("each group grows by the work that asks for its resources and by no other, and goes back to zero", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    const groups = [
      "--group",
      "gpu:resources=GPU=1,nthreads=1",
      "--group",
      "io:resources=IO=2",
      "--group",
      "plain:nthreads=1",
    ];
    await using running = await cluster(clean, ...groups);
    const job = ["--batch", "slurm", "--ranks-per-node", "1", "--memory", "400MiB", "--time", "5m"];
    const follow = ["--interval", "500ms", "--wait-count", "2", "--target-duration", "1s"];
    const adapting = (name: string): Running =>
      start(ours("adapt", "--group", name, "--max", "2", ...follow, ...job), {
        folder: clean.folder,
        env: jobEnvironment(clean),
      });
    await using gpu = adapting("gpu");
    await using io = adapting("io");
    await gpu.says(/gpu: between 0 and 2 workers/);
    await io.says(/io: between 0 and 2 workers/);
    await using work = await client(clean, clean.write("asking.py", asking));
    await work.says(/GPU \[\('GPU', 1\), \('GPU', 1\)\]/);
    // Those of the other group are gone by then. One worker has room for both tasks; a second comes where they take
    // longer than a second.
    await work.says(/IO \[\('IO', 2\)(, \('IO', 2\))?\]/);
    expect((await work.finished).code).toBe(0);
    await until("no worker of either", patience, async () => (await polledWorkers(clean)) === 1);
    const words = (name: string): string[] => ["--group", name, ...job];
    expect(await refused(clean, "scale", "1", ...words("tpu"))).toContain(
      "TSD-201 The cluster has no group tpu; it has gpu, io, plain",
    );
    expect(await refused(clean, "adapt", "--max", "1", ...words("plain"))).toContain("TSD-202");
    running.signal("SIGTERM");
    await running.finished;
    for (const one of [gpu, io]) expect(await one.finished).toMatchObject({ code: 0 });
    await queueEmpty();
  });

  test("jobs that are still pending when the cluster ends are cancelled", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    await using running = await cluster(clean);
    const file = clean.write("workers.sh", markedScript("slurm", "workers.sh", workerEdits));
    await using adapting = start(
      ours(
        "adapt",
        "--min",
        "5",
        "--max",
        "5",
        "--interval",
        "500ms",
        "--batch",
        "slurm",
        "--directive=--begin=now+1hour",
        "--time",
        "5m",
        "--memory",
        "500MiB",
      ),
      { folder: clean.folder, env: jobEnvironment(clean) },
    );
    await until("a pending job", patience, async () => (await queuedJobs()).length > 0);
    expect(existsSync(file)).toBe(true);
    running.signal("SIGTERM");
    await running.finished;
    expect((await adapting.finished).code).toBe(0);
    await queueEmpty();
  });

  test("a cluster that ends takes its pending jobs along, also when nobody adapts it any more", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    await using running = await cluster(clean);
    await scale(clean, "5", "--batch", "slurm", "--directive=--begin=now+1hour", "--time", "5m", "--memory", "500MiB");
    expect((await queuedJobs()).length).toBeGreaterThan(0);
    running.signal("SIGTERM");
    const finished = await running.finished;
    expect(finished.stderr, tell(finished)).not.toContain("could not all be cancelled");
    await queueEmpty();
  });

  test.each([
    ["`tsdask-mpi stop NAME` ends", (name: string) => ours("stop", name)],
    ["the next launch there ends", () => ours("--np", "3", "--no-dashboard", "--", "true")],
  ])("pending jobs of a cluster whose rank 0 was killed stay in its list, by which %s them", async (_, next) => {
    await startSlurm();
    await using clean = nothingLeft();
    await using running = await cluster(clean);
    const [, name = ""] = /^tsdask-mpi: +name +(\S+)$/m.exec(running.stderr()) ?? [];
    const folder = folderOf(clean);
    await scale(clean, "5", "--batch", "slurm", "--directive=--begin=now+1hour", "--time", "5m", "--memory", "500MiB");
    expect((await queuedJobs()).length).toBeGreaterThan(0);
    signalAll([castOf(clean, running.pid, "local").ranks.get(0) ?? 0], "SIGKILL");
    await running.finished;
    await until("the folder without all but the list", patience, () => readdirSync(folder).length === 2);
    expect(readdirSync(folder).toSorted()).toEqual(["jobs", "owner"]);
    const finished = await run(next(name), { folder: clean.folder, env: jobEnvironment(clean) });
    expect(finished, tell(finished)).toMatchObject({ code: 0 });
    await queueEmpty();
  });

  test("pending jobs go along with a cluster whose batch system takes longer to answer than its hosts to end", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    for (const name of ["squeue", "scancel"])
      clean.write(`slow/${name}`, `#!/bin/sh\nsleep 5\nexec ${which(name)} "$@"\n`);
    const path = `${join(clean.folder, "slow")}:${jobEnvironment(clean)["PATH"]}`;
    clean.allow(/\.out$/);
    await using running = start(ours("--np", "2", "--dashboard-address", ":0", "--grace", "1s"), {
      folder: clean.folder,
      env: { ...jobEnvironment(clean), PATH: path },
    });
    await running.says(/the worker is in/);
    await scale(clean, "3", "--batch", "slurm", "--directive=--begin=now+1hour", "--time", "5m", "--memory", "500MiB");
    expect((await queuedJobs()).length).toBeGreaterThan(0);
    running.signal("SIGTERM");
    const finished = await running.finished;
    expect(finished.stderr, tell(finished)).not.toContain("could not all be cancelled");
    expect(existsSync(join(clean.folder, "scheduler.json"))).toBe(false);
    expect(await queuedJobs()).toEqual([]);
  });

  test("pending jobs go along with a script that ends while another host stands still", async () => {
    const srun = await startSlurm().then(() => launcher("srun-none"));
    await using clean = nothingLeft();
    clean.allow(/\.out$|^go$/);
    const script = clean.write("script.py", waitingForGo);
    const words = program("--wait-workers", "all", "--dashboard-address", ":0", script);
    await using running = start(srun.command(4, words, { nodes: 2 }), { folder: clean.folder, env: clean.env });
    await running.says(/the script runs/);
    await scale(clean, "5", "--batch", "slurm", "--directive=--begin=now+1hour", "--time", "5m", "--memory", "500MiB");
    const agent = castOf(clean, running.pid, srun.name).ranks.get(2);
    signalAll([agent ?? 0], "SIGSTOP");
    clean.write("go", "");
    // Longer than all of rank 0's own host takes to end.
    await sleep(4000);
    signalAll([agent ?? 0], "SIGCONT");
    const finished = await running.finished;
    expect(finished, tell(finished)).toMatchObject({ code: 0 });
    await queueEmpty();
  });

  test("before a job's time is over its workers leave without losing a result, and a script that has nowhere to go is told", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    await using alone = nothingLeft();
    await using running = await cluster(clean);
    // A minute is the shortest time Slurm knows; an administrator may name another end. Both jobs use it at once.
    // Before it, a slow machine needs time for all that comes first.
    const end = `EndTime=now+${40 + Math.ceil(Math.max(0, 5 * (running.seconds() - 4)))}seconds`;
    const sooner = [/^# module load.*$/m, `scontrol update JobId="$SLURM_JOB_ID" ${end}`] as const;
    alone.allow(/\.out$/);
    const saving = alone.write(
      "saving.py",
      "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'saved\\n'), sys.exit(3)))\nos.write(1, b'at work\\n')\ntime.sleep(1000)\n",
    );
    const batch = markedScript("slurm", "batch.sh", [
      [/--ntasks-per-node=8/, "--ntasks-per-node=2"],
      [/--cpus-per-task=2/, "--cpus-per-task=1"],
      [/--mem=32G/, "--mem=500M"],
      [/--time=\S+/, "--time=10"],
      sooner,
      [/^script=.*$/m, `script=(${saving})`],
    ]);
    const told = await sbatch(alone, alone.write("batch.sh", batch));

    clean.allow(/^(computed|go)$/);
    const short = [
      ...workerEdits.map(([pattern, text]) => [pattern, text.startsWith("--time") ? "--time=10" : text] as const),
      sooner,
    ];
    const id = await sbatch(clean, clean.write("workers.sh", markedScript("slurm", "workers.sh", short)));
    await until("all three workers", patience, async () => (await polledWorkers(clean)) === 3);
    await using work = await client(clean, clean.write("holding.py", holding), "3");
    await work.says(/held by 3/);
    await until("the job's workers to leave", 2 * patience, async () => (await polledWorkers(clean)) === 1);
    writeFileSync(join(clean.folder, "go"), "");
    expect((await work.finished).stdout).toContain("sum 1770000");
    expect(readFileSync(join(clean.folder, "computed"), "utf8").trim().split("\n")).toHaveLength(60);
    await until("both jobs to end", patience, async () =>
      (await Promise.all([id, told].map(jobState))).every((state) => state !== "RUNNING" && state !== "COMPLETING"),
    );
    expect(await jobState(id), outputOf(clean, id)).toBe("COMPLETED");
    expect(outputOf(alone, told)).toMatch(/at work[\s\S]*saved/);
    expect(await output(command("scontrol", "show", "job", told), { env: jobEnvironment(clean) })).toContain(
      "ExitCode=3:0",
    );
    running.signal("SIGTERM");
    await running.finished;
    covers("slurm", ["drain"], await slurmVersion());
  });

  test("a job that is cancelled leaves nothing, and a requeued one starts afresh over the old one's files", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    clean.allow(/\.out$/);
    const text = markedScript("slurm", "batch.sh", [
      [/--ntasks-per-node=8/, "--ntasks-per-node=2"],
      [/--cpus-per-task=2/, "--cpus-per-task=1"],
      [/--mem=32G/, "--mem=800M"],
      [/--time=\S+/, "--time=5"],
      [/^script=.*$/m, "script=()"],
    ]);
    const id = await sbatch(clean, clean.write("batch.sh", text), "--requeue");
    const first = await until("the first cluster", patience, () => schedulerOf(clean));
    await until("its workers", patience, async () => (await polledWorkers(clean)) === 3);
    await output(command("scontrol", "requeue", id), { env: jobEnvironment(clean) });
    let told = performance.now();
    await until(
      () => `the job's second run\n${outputOf(clean, id)}`,
      patience,
      async () => {
        // Slurm lets a requeued job wait for two minutes; an administrator may tell it not to, once the first run is
        // over.
        if (performance.now() - told > 6000 && (await jobState(id)) === "PENDING") {
          await run(command("scontrol", "update", `JobId=${id}`, "StartTime=now"), { env: jobEnvironment(clean) });
          told = performance.now();
        }
        const found = schedulerOf(clean);
        return found !== undefined && found !== first;
      },
    );
    await until("its workers", patience, async () => (await polledWorkers(clean)) === 3);
    await output(command("scancel", id), { env: jobEnvironment(clean) });
    await queueEmpty();
    expect(outputOf(clean, id)).not.toContain("TSD-070");
  });
});

/** The cluster folder that the folder's scheduler.json names. */
function folderOf(clean: Clean): string {
  const file = JSON.parse(readFileSync(join(clean.folder, "scheduler.json"), "utf8")) as { tsdask: { folder: string } };
  return file.tsdask.folder;
}

/** The id of the scheduler in the folder's scheduler.json. */
function schedulerOf(clean: Clean): string | undefined {
  try {
    return (JSON.parse(readFileSync(join(clean.folder, "scheduler.json"), "utf8")) as { id: string }).id;
  } catch (error) {
    // It comes and goes with the launch, between any two looks.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
