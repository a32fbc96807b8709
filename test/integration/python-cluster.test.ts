import { describe, expect, it } from "vitest";
import { join } from "node:path";
import { command, projectRoot } from "./bed/command.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { python } from "./bed/pythons.ts";
import { run, tell, type Finished } from "./bed/run.ts";
import { slurmAvailable, slurmEnvironment, startSlurm } from "./bed/slurm.ts";

const runs = (clean: Clean, text: string, env: Readonly<Record<string, string>> = {}): Promise<Finished> =>
  run(command(python().path, clean.write("notebook.py", text)), {
    folder: clean.folder,
    env: { ...clean.env, ...env, PYTHONPATH: join(projectRoot, "python"), PYTHONDONTWRITEBYTECODE: "1" },
    deadline: 90,
  });

describe("tsdask_mpi.Cluster", () => {
  it("computes, grows and shrinks, tells its logs, and is another's to connect to", async () => {
    await using clean = nothingLeft({ within: 20 });
    const finished = await runs(
      clean,
      `
from dask.distributed import Client
from tsdask_mpi import Cluster
with Cluster(np=2) as cluster, cluster.get_client() as client:
    print("sum", client.submit(sum, range(10)).result(), cluster.dashboard_link.startswith("http://"))
    cluster.scale(2)
    cluster.wait_for_workers(2, "60s")
    print("up", len(cluster.workers))
    other = Cluster.connect(cluster.scheduler_file)
    print("other", len(other.workers))
    other.close()
    cluster.scale(1)
    print("down", len(cluster.workers))
    print("logs", sorted(name for name in cluster.get_logs() if "://" not in name), "Workers" in cluster._repr_html_())
print("closed", cluster.status.name)
`,
    );
    expect(finished.code, tell(finished)).toBe(0);
    expect(finished.stdout.trim().split("\n")).toEqual([
      "sum 45 True",
      "up 2",
      "other 2",
      "down 1",
      "logs ['Cluster', 'Scheduler'] True",
      "closed closed",
    ]);
    expect(finished.stderr).not.toMatch(/Traceback|WARNING/);
  });

  it("asynchronous, and collected without being closed, leaves nothing", async () => {
    await using clean = nothingLeft({ within: 20 });
    const finished = await runs(
      clean,
      `
import asyncio, gc, os, time
from tsdask_mpi import Cluster
async def main():
    async with Cluster(n_workers=1, asynchronous=True) as cluster:
        async with cluster.get_client() as client:
            print(await client.submit(sum, [1, 2]))
asyncio.run(main())
cluster = Cluster(np=2)
folder = os.path.dirname(cluster.scheduler_file)
del cluster
gc.collect()
until = time.time() + 30
while os.path.exists(folder) and time.time() < until:
    time.sleep(0.1)
print(os.path.exists(folder))
`,
    );
    expect(finished.code, tell(finished)).toBe(0);
    expect(finished.stdout).toBe("3\nFalse\n");
  });

  it("goes when its interpreter is killed", async () => {
    await using clean = nothingLeft({ within: 20 });
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

  it("has examples that run", async () => {
    await using clean = nothingLeft({ within: 20 });
    const finished = await runs(
      clean,
      "import doctest, tsdask_mpi.cluster, tsdask_mpi.jobqueue\nfor module in (tsdask_mpi.cluster, tsdask_mpi.jobqueue):\n    print(doctest.testmod(module).failed)\n",
    );
    expect(finished.stdout, tell(finished)).toBe("0\n0\n");
  });

  it("that does not come up says what tsdask-mpi said", async () => {
    await using clean = nothingLeft();
    const finished = await runs(clean, "from tsdask_mpi import Cluster\nCluster(np=2, nthreads='many')\n");
    expect(finished.code).toBe(1);
    expect(finished.stderr).toMatch(/ClusterStartError: TSD-168 [\s\S]*TSD-003 --nthreads/);
  });
});

describe("tsdask_mpi.jobqueue", () => {
  it("names what an argument cannot mean, and reads the site's jobqueue.yaml", async () => {
    await using clean = nothingLeft();
    clean.write(
      "config/jobqueue.yaml",
      "jobqueue:\n  slurm:\n    queue: night\n    cores: 4\n    memory: 8GB\n    processes: 2\n",
    );
    const finished = await runs(
      clean,
      `
from tsdask_mpi.jobqueue import SLURMCluster, PBSCluster, _from_yaml, translated
for name, words in (("shebang", "#!/bin/sh"), ("resource_spec", "x"), ("bogus", 1)):
    try:
        PBSCluster(cores=1, memory="1GB", **{name: words})
    except ValueError as error:
        print(error)
print(translated("slurm", "SLURMCluster", {**_from_yaml("slurm"), "walltime": "1:00:00"}))
`,
      { DASK_CONFIG: join(clean.folder, "config") },
    );
    expect(finished.code, tell(finished)).toBe(0);
    const lines = finished.stdout.trim().split("\n");
    expect(lines.slice(0, 3).map((line) => line.slice(0, 28))).toEqual([
      "TSD-169 PBSCluster(shebang=…",
      "TSD-169 PBSCluster(resource_",
      "TSD-169 PBSCluster(bogus=…) ",
    ]);
    expect(lines[3]).toContain(
      "'ranks_per_node': 2, 'threads': 2, 'memory': '8GB', 'time': '1:00:00', 'queue': 'night'",
    );
  });

  if (slurmAvailable() === true)
    it("SLURMCluster brings workers by a job, and leaves no job when it is closed", async () => {
      await using clean = nothingLeft({ within: 30 });
      clean.allow(/^slurm-\d+\.out$|^dask-.*\.out$/);
      await startSlurm();
      const finished = await runs(
        clean,
        `
import subprocess
from tsdask_mpi.jobqueue import SLURMCluster
with SLURMCluster(cores=1, memory="1GB", processes=1, walltime="00:05:00") as cluster:
    print("#SBATCH" in cluster.job_script(), len(cluster.workers))
    cluster.scale(jobs=1)
    cluster.wait_for_workers(1, "60s")
    with cluster.get_client() as client:
        print(client.submit(sum, range(10)).result(), len(cluster.workers))
print(repr(subprocess.run(["squeue", "--noheader", "--states=PENDING,RUNNING"], capture_output=True, text=True).stdout.strip()))
`,
        slurmEnvironment(),
      );
      expect(finished.code, tell(finished)).toBe(0);
      expect(finished.stdout).toBe("True 0\n45 1\n''\n");
    });
});
