import { describe, expect, it } from "vitest";
import { chmodSync, chownSync } from "node:fs";
import { join } from "node:path";
import { command, isRoot, projectRoot } from "./bed/command.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { python } from "./bed/pythons.ts";
import { run, tell, type Finished } from "./bed/run.ts";
import { program } from "./launch.ts";
import { queueEmpty, slurmAvailable, slurmEnvironment, startSlurm } from "./bed/slurm.ts";

const runs = (clean: Clean, text: string, env: Readonly<Record<string, string>> = {}): Promise<Finished> =>
  run(command(python().path, clean.write("notebook.py", text)), {
    folder: clean.folder,
    env: { ...clean.env, ...env, PYTHONPATH: join(projectRoot, "python"), PYTHONDONTWRITEBYTECODE: "1" },
  });

describe("tsdask_mpi.Cluster", () => {
  it("is closed while a process lives that was forked meanwhile, and not by the end of one", async () => {
    await using clean = nothingLeft();
    const finished = await runs(
      clean,
      `
import os, signal, sys, time
from tsdask_mpi import Cluster
cluster = Cluster(np=2)
sleeper = os.fork()
if sleeper == 0:
    time.sleep(1000)
    os._exit(0)
if (ended := os.fork()) == 0:
    sys.exit(0)
os.waitpid(ended, 0)
with cluster.get_client() as client:
    print("sum", client.submit(sum, range(10)).result())
began = time.monotonic()
cluster.close()
print(cluster.status.name, time.monotonic() - began < 120)
os.kill(sleeper, signal.SIGKILL)
`,
    );
    expect(finished.code, tell(finished)).toBe(0);
    expect(finished.stdout.trim().split("\n")).toEqual(["sum 45", "closed True"]);
  });

  it("computes, grows and shrinks, tells its logs, and is another's to connect to", async () => {
    await using clean = nothingLeft();
    const finished = await runs(
      clean,
      `
import time
from urllib.request import urlopen
from tsdask_mpi import Cluster
with Cluster(np=2) as cluster, cluster.get_client() as client:
    print("sum", client.submit(sum, range(10)).result(), cluster.dashboard_link.startswith("http://"))
    with urlopen(cluster.dashboard_url()) as page:
        print("page", page.status, cluster.dashboard_url().startswith(cluster.dashboard_link + "?token="))
    print("shown", "token" in cluster._repr_html_() + repr(cluster))
    cluster.scale(2)
    cluster.wait_for_workers(2, "200s")
    print("up", len(cluster.workers))
    other = Cluster.connect(cluster.scheduler_file)
    print("other", len(other.workers))
    other.close()
    cluster.scale(1)
    print("down", len(cluster.workers))
    following = cluster.adapt(minimum=1, maximum=2)
    while "between" not in cluster.get_logs()["Cluster"]:
        time.sleep(0.1)
    cluster.scale(1)
    print("by hand", following.periodic_callback)
    try:
        cluster.wait_for_workers(2, "0.2s")
    except TimeoutError as error:
        print(error)
    print("logs", sorted(name for name in cluster.get_logs() if "://" not in name), "Workers" in cluster._repr_html_())
print("closed", cluster.status.name)
for late in (lambda: cluster.scale(1), cluster.get_logs, lambda: cluster.wait_for_workers(1)):
    try:
        late()
    except RuntimeError as error:
        print(error)
`,
    );
    expect(finished.code, tell(finished)).toBe(0);
    expect(finished.stdout.trim().split("\n")).toEqual([
      "sum 45 True",
      "page 200 True",
      "shown False",
      "up 2",
      "other 2",
      "down 1",
      "by hand None",
      "Only 1 of 2 workers were in after 0.2s",
      "logs ['Cluster', 'Scheduler'] True",
      "closed closed",
      ...Array<string>(3).fill("Cluster is closed: make another one, or connect to one that runs"),
    ]);
    expect(finished.stderr).not.toMatch(/Traceback|WARNING/);
  });

  it("asynchronous, and collected without being closed, leaves nothing", async () => {
    await using clean = nothingLeft();
    const finished = await runs(
      clean,
      `
import asyncio, gc, os, time
from tsdask_mpi import Cluster
async def main():
    async with Cluster(n_workers=1, asynchronous=True) as cluster:
        async with cluster.get_client() as client:
            print(await client.submit(sum, [1, 2]))
    cluster = await Cluster(n_workers=1, asynchronous=True)
    await cluster.wait_for_workers(1)
    await cluster.scale(0)
    print(len(cluster.workers))
    await cluster.close()
asyncio.run(main())
cluster = Cluster(np=2)
folder = os.path.dirname(cluster.scheduler_file)
del cluster
gc.collect()
until = time.time() + 150
while os.path.exists(folder) and time.time() < until:
    time.sleep(0.1)
print(os.path.exists(folder))
`,
    );
    expect(finished.code, tell(finished)).toBe(0);
    expect(finished.stdout).toBe("3\n0\nFalse\n");
  });

  it("of no workers begins with none, and follows the work", async () => {
    await using clean = nothingLeft();
    const finished = await runs(
      clean,
      `
from tsdask_mpi import Cluster
with Cluster(n_workers=0) as cluster, cluster.get_client() as client:
    print("begins with", len(cluster.workers))
    cluster.adapt(minimum=0, maximum=1, interval="1s")
    print(client.submit(sum, range(10)).result())
`,
    );
    expect([finished.code, finished.stdout], tell(finished)).toEqual([0, "begins with 0\n45\n"]);
  });

  it("goes when its interpreter is killed", async () => {
    await using clean = nothingLeft();
    const finished = await runs(
      clean,
      `
import os, signal
from tsdask_mpi import Cluster
cluster = Cluster(np=3)
print(len(cluster.workers) >= 0, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
`,
    );
    expect([finished.signal, finished.stdout], tell(finished)).toEqual(["SIGKILL", "True\n"]);
  });

  it.runIf(isRoot)(
    "in a group's folder comes up where the group is trusted, and starts nothing where not",
    async () => {
      await using clean = nothingLeft();
      chownSync(clean.folder, 0, 65534);
      chmodSync(clean.folder, 0o2775);
      const finished = await runs(
        clean,
        `
import os
from tsdask_mpi import Cluster, ClusterStartError
from tsdask_mpi.jobqueue import SLURMCluster
def tried(make, *words, **options):
    try:
        make(*words, **options)
    except ClusterStartError as error:
        print(str(error).split()[1], str(error).split()[-1], os.listdir())
tried(Cluster, np=2, folder=".")
tried(Cluster.batch, "slurm", nodes=1)
tried(SLURMCluster, cores=1, memory="1GB")
with Cluster(np=2, folder=".", trust_shared_folder=True) as cluster:
    print("token" in cluster.dashboard_url())
    with Cluster.connect(cluster.scheduler_file, trust_shared_folder=True) as same:
        print(same.scheduler_address == cluster.scheduler_address)
    cluster.scale(2)
    cluster.wait_for_workers(2, "200s")
with SLURMCluster(cores=1, memory="1GB", trust_shared_folder=True) as cluster:
    print("--trust-shared-folder" in cluster.job_script())
try:
    Cluster.connect("some", trust=True)
except TypeError as error:
    print(error)
`,
      );
      expect(finished.code, tell(finished)).toBe(0);
      expect(finished.stdout.trim().split("\n")).toEqual([
        ...Array<string>(3).fill("TSD-120 trust_shared_folder=True. ['notebook.py']"),
        ...Array<string>(3).fill("True"),
        expect.stringMatching(/unexpected keyword argument 'trust'$/),
      ]);
    },
  );

  it("that does not come up says what tsdask-mpi said", async () => {
    await using clean = nothingLeft();
    const finished = await runs(clean, "from tsdask_mpi import Cluster\nCluster(np=2, nthreads='many')\n");
    expect(finished.code).toBe(1);
    expect(finished.stderr).toMatch(/ClusterStartError: TSD-168 [\s\S]*TSD-003 --nthreads/);
  });
});

describe("tsdask_mpi.jobqueue", () => {
  it.each([
    ["with", 'scheduler_file="scheduler-{job_id}.json"', []],
    ["without", "", []],
    ["unadopted, without", "", ["--own-clusters", "allow", "--wait-workers", "all"]],
  ] as const)(
    "SLURMRunner is the launch's cluster under tsdask-mpi, %s a scheduler_file",
    async (_, words, options) => {
      await using clean = nothingLeft();
      const script = clean.write(
        "runner.py",
        `
import os
from dask.distributed import Client
from tsdask_mpi.jobqueue import SLURMRunner
file = os.environ["TSDASK_SCHEDULER_FILE"]
with SLURMRunner(${words}) as runner, Client(runner) as client:
    client.wait_for_workers(runner.n_workers)
    print(runner.n_workers, client.submit(sum, range(10)).result(), os.environ["TSDASK_SCHEDULER_FILE"] == file)
`,
      );
      const [name = "", ...rest] = program("--np", "4", ...options, script);
      const finished = await run(command(name, ...rest), {
        folder: clean.folder,
        env: { ...clean.env, PYTHONPATH: join(projectRoot, "python"), PYTHONDONTWRITEBYTECODE: "1" },
      });
      expect([finished.code, finished.stdout], tell(finished)).toEqual([0, "2 45 True\n"]);
    },
  );

  it("names what an argument cannot mean, and reads the site's jobqueue.yaml", async () => {
    await using clean = nothingLeft();
    clean.write(
      "config/jobqueue.yaml",
      "jobqueue:\n  slurm:\n    queue: night\n    cores: 4\n    memory: 8GB\n    processes: 2\n",
    );
    const finished = await runs(
      clean,
      `
import json
from tsdask_mpi.jobqueue import PBSCluster
from tsdask_mpi.jobqueue_arguments import adapt_bounds, from_yaml, runner_arguments, translated
for name, words in (("shebang", "#!/usr/bin/perl"), ("resource_spec", "select=2:ncpus=8"), ("worker_extra_args", ["--nworkers 2"]), ("bogus", 1)):
    try:
        PBSCluster(cores=1, memory="1GB", **{name: words})
    except ValueError as error:
        print(error)
print(json.dumps(translated("slurm", "SLURMCluster", {**from_yaml("slurm"), "walltime": "1:00:00"})))
def job(system, **given):
    launch, processes, options = translated(system, "Cluster", given)
    print(json.dumps({**options, "processes": processes}))
job("slurm", cores=8, processes=2, memory="10GB", job_cpu=16, job_mem="20G", walltime="30", shebang="#!/bin/bash -l", project="a1",
    extra=["--lifetime", "55m"], job_extra=["--qos=low"], env_extra=["module load x"], header_skip=["-A"])
job("slurm", cores=2, processes=2, memory="10GB", header_skip=["--mem"], worker_extra_args=["--resources GPU=1", "--no-dashboard", "--preload=a --preload b"])
job("pbs", cores=1, processes=1, memory="10GB", resource_spec="select=1:ncpus=4:mem=20GB:ngpus=1", walltime="30:00")
job("lsf", cores=1, processes=1, memory="1GB", walltime="01:30")
job("sge", cores=1, processes=1, memory="1GB", resource_spec="h_vmem=2G", walltime="3600")
print(adapt_bounds({"minimum_jobs": 1, "maximum_cores": 12, "maximum_memory": "20GB", "interval": "1s"}, 2, 4, "10GB"))
print(runner_arguments("SLURMRunner", {"worker_options": {"nthreads": 2, "name": "x"}, "scheduler_options": {"dashboard": False}}))
`,
      { DASK_CONFIG: join(clean.folder, "config") },
    );
    expect(finished.code, tell(finished)).toBe(0);
    const lines = finished.stdout.trim().split("\n");
    expect(lines.slice(0, 4).map((line) => line.slice(0, 36))).toEqual([
      "TSD-169 PBSCluster(shebang=…) has no",
      "TSD-169 PBSCluster(resource_spec=…) ",
      "TSD-169 PBSCluster(worker_extra_args",
      "TSD-169 PBSCluster(bogus=…) has no m",
    ]);
    expect(JSON.parse(lines[4] ?? "")).toEqual([
      {},
      2,
      { batch: "slurm", ranks_per_node: 2, threads: 2, memory: "8GB", time: "3600s", queue: "night" },
    ]);
    expect(lines.slice(5, 10).map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        batch: "slurm",
        processes: 2,
        ranks_per_node: 2,
        threads: 8,
        memory: "20GiB",
        time: "1800s",
        directive: ["--qos=low"],
        setup: ["source /etc/profile", "module load x"],
        env: ["TSDASK_LIFETIME=55m", "TSDASK_NTHREADS=4", "TSDASK_MEMORY_LIMIT=5000000000"],
      },
      {
        batch: "slurm",
        processes: 2,
        ranks_per_node: 2,
        threads: 1,
        env: [
          "TSDASK_RESOURCES=GPU=1",
          "TSDASK_DASHBOARD=false",
          "TSDASK_PRELOAD=a,b",
          "TSDASK_MEMORY_LIMIT=5000000000",
        ],
      },
      {
        batch: "pbs",
        processes: 1,
        ranks_per_node: 1,
        threads: 4,
        memory: "20GiB",
        gpus: "1",
        time: "1800s",
        env: ["TSDASK_NTHREADS=1", "TSDASK_MEMORY_LIMIT=10000000000"],
      },
      { batch: "lsf", processes: 1, ranks_per_node: 1, threads: 1, memory: "1GB", time: "5400s" },
      {
        batch: "sge",
        processes: 1,
        ranks_per_node: 1,
        threads: 1,
        memory: "1GB",
        time: "3600s",
        directive: ["-l h_vmem=2G"],
      },
    ]);
    expect(lines.slice(10)).toEqual([
      "({'interval': '1s'}, 2, 3)",
      "{'dashboard': False, 'nthreads': 2, 'worker_options': {'name': 'x'}}",
    ]);
  });

  if (slurmAvailable() === true) {
    it("SLURMCluster brings workers by jobs with a directive of their own, and left open it leaves no job at the interpreter's end", async () => {
      await using clean = nothingLeft();
      clean.allow(/^dask-.*\.out$|^slurm-.*\.out$/);
      await startSlurm();
      const finished = await runs(
        clean,
        `
import subprocess
from tsdask_mpi.jobqueue import SLURMCluster
cluster = SLURMCluster(cores=1, memory="1GB", processes=1, walltime="00:05:00", job_extra_directives=["--comment=mine"])
print("#SBATCH --comment=mine" in cluster.job_script(), len(cluster.workers))
cluster.scale(jobs=1)
cluster.wait_for_workers(1, "200s")
client = cluster.get_client()
cluster.scheduler.allowed_failures = 7
print(client.submit(sum, range(10)).result(), len(cluster.scheduler.workers), cluster.scheduler.allowed_failures)
print(subprocess.run(["squeue", "--noheader", "--format=%k"], capture_output=True, text=True).stdout.startswith("mine"))
# The examples of the documentation that need a Slurm.
import doctest, tsdask_mpi.cluster, tsdask_mpi.jobqueue
for module, name in ((tsdask_mpi.cluster, "Cluster.batch"), (tsdask_mpi.jobqueue, "SLURMCluster")):
    (found,) = [test for test in doctest.DocTestFinder().find(module) if test.name == f"{module.__name__}.{name}"]
    for example in found.examples:
        example.options.pop(doctest.SKIP, None)
    print(name, doctest.DocTestRunner().run(found))
`,
        slurmEnvironment(),
      );
      expect([finished.code, finished.stdout], tell(finished)).toEqual([
        0,
        "True 0\n45 1 7\nTrue\nCluster.batch TestResults(failed=0, attempted=1)\nSLURMCluster TestResults(failed=0, attempted=1)\n",
      ]);
      expect(finished.stderr).not.toMatch(/Traceback|Warning|Error/);
      await queueEmpty();
    });

    it("Cluster.batch of a job that fails says what the job has written, long before start_timeout", async () => {
      await using clean = nothingLeft();
      clean.allow(/^mine-\d+\.out$/);
      await startSlurm();
      const finished = await runs(
        clean,
        `
from tsdask_mpi import Cluster, submitted
submitted.ASK = 1
Cluster.batch("slurm", nodes=1, ranks_per_node=2, time="5m", name="mine", launch={"interface": "nowhere0"})
`,
        slurmEnvironment(),
      );
      expect(finished.code, tell(finished)).toBe(1);
      expect(finished.stderr).toMatch(
        /ClusterStartError: TSD-168 .* slurm \d+: .*mine-\d+\.out:\n[\s\S]*TSD-\d+ .*nowhere0/,
      );
      await queueEmpty();
    });

    it("Cluster.batch is a job that ends with its killed interpreter; SLURMRunner is the cluster of srun's ranks", async () => {
      await using clean = nothingLeft();
      clean.allow(/^mine-\d+\.out$/);
      await startSlurm();
      const batch = `
import os, signal
from tsdask_mpi import Cluster
cluster = Cluster.batch("slurm", nodes=2, ranks_per_node=1, time="5m", name="mine", start_timeout=200)
with cluster.get_client() as client:
    client.wait_for_workers(1)
    print(client.submit(sum, range(10)).result(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
`;
      const runner = `
from dask.distributed import Client
from tsdask_mpi.jobqueue import SLURMRunner
with SLURMRunner(scheduler_file="scheduler-{job_id}.json", worker_options={"nthreads": 1}) as runner, Client(runner) as client:
    client.wait_for_workers(runner.n_workers)
    print(runner.n_workers, client.submit(sum, range(10), workers=2).result())
`;
      const srun = command("srun", "--ntasks=4", python().path, clean.write("runner.py", runner));
      const [killed, ran] = await Promise.all([
        runs(clean, batch, slurmEnvironment()),
        run(srun, {
          folder: clean.folder,
          env: { ...clean.env, ...slurmEnvironment(), PYTHONPATH: join(projectRoot, "python") },
        }),
      ]);
      expect([killed.signal, killed.stdout], tell(killed)).toEqual(["SIGKILL", "45\n"]);
      expect([ran.code, ran.stdout], tell(ran)).toEqual([0, "2 45\n"]);
      await queueEmpty();
    });
  }
});
