import { describe, expect, it } from "vitest";
import { launch, ownSecurity } from "./adopted.ts";
import { availableLaunchers } from "./bed/launchers.ts";
import { availablePythons } from "./bed/pythons.ts";
import { tell } from "./bed/run.ts";

/** Workers are called by their ranks' numbers where the script imports dask_mpi, as dask-mpi calls them. */
const expected = (text: string): string =>
  `names ${text.includes("dask_mpi") ? "2 3" : "tsdask-2 tsdask-3"} processes 2 here False own 0`;
/** Ways to ask for a cluster, as scripts have them. */
const forms: Readonly<Record<string, string>> = {
  "Client(n_workers=…)": `
with Client(n_workers=2, threads_per_worker=1, processes=True, memory_limit="1GB", dashboard_address=None) as client:
    assert client.cluster.scheduler_address == client.scheduler.address
    show(client)
`,
  "Client(processes=False)": "client = Client(processes=False)\nshow(client)\nprint(client.cluster.dashboard_link)\n",
  "Client() and its cluster": `
client = Client()
client.cluster.scale(8)
client.cluster.adapt(minimum=1, maximum=4).stop()
show(client)
assert len(client.cluster.workers) == 2
assert "workers=2" in repr(client.cluster)
`,
  "LocalCluster()": `
from dask.distributed import LocalCluster
with LocalCluster(n_workers=16) as cluster, Client(cluster) as client:
    assert isinstance(cluster, LocalCluster)
    assert cluster.get_client() is client
    assert "Launch" not in type(cluster).__name__
    show(client)
    assert len(cluster.workers) == len(cluster.scheduler_info["workers"]) == 2
    logs = cluster.get_logs()
    assert "Register worker" in logs["Scheduler"] and "Cluster" in logs and set(logs) > set(cluster.scheduler_info["workers"])
    assert all("Start worker at" in logs[worker] for worker in cluster.scheduler_info["workers"])
    assert "Register worker" in client.cluster.get_logs()["Scheduler"] and client.get_scheduler_logs()
    assert cluster._repr_html_() and repr(cluster).startswith("LocalCluster(")
with Client() as again:
    assert again.submit(sum, [1, 2]).result() == 3
`,
  "cluster.scheduler": `
from distributed import LocalCluster, Status
cluster = LocalCluster()
client = Client(cluster)
show(client)
for one in cluster, client.cluster:
    entry = next(iter(one.workers.values()))
    assert entry["nthreads"] == entry.nthreads and entry.worker_address in one.scheduler_info["workers"]
    assert one.worker_spec[0]["options"]["memory_limit"] == entry.memory_limit and len(one.worker_spec) == 2
    assert one.new_worker_spec() and one.new_spec["options"]["nthreads"] and "cls" in one.scheduler_spec
for scheduler in cluster.scheduler, client.cluster.scheduler:
    assert scheduler.address == cluster.scheduler_address and scheduler.port > 0 and scheduler.total_nthreads >= 2
    assert set(scheduler.services) == set(scheduler.identity()["services"])
    assert list(scheduler.aliases) == [worker.name for worker in scheduler.workers.values()]
    for address, worker in scheduler.workers.items():
        assert worker.address == address and worker.nthreads == worker.ncores >= 1 and worker.memory_limit > 0
        assert worker.status is Status.running and worker.pid == client.run(os.getpid, workers=[address])[address]
    for wrong in lambda: scheduler.tasks, lambda: worker.processing:
        try:
            wrong()
            raise SystemExit("no error")
        except AttributeError as error:
            assert "client.run_on_scheduler(lambda dask_scheduler: " in str(error)
`,
  "workers by rank": `
client = Client()
show(client)
assert [client.submit(pid, workers=rank, pure=False).result() for rank in (2, 3)] == [
    client.submit(pid, workers=f"tsdask-{rank}", pure=False).result() for rank in (2, 3)
]
assert client.submit(pid, workers=[2, 3], pure=False).result() != os.getpid()
`,
  "a Security of its own": `
from distributed import LocalCluster
${ownSecurity}
for words in {"address": None}, {"n_workers": 4}:
    with Client(security=security, **words) as client:
        assert client.submit(sum, [1, 2]).result() == 3
        with Client(client.cluster, security=security) as again:
            assert again.submit(sum, [1, 2]).result() == 3
with LocalCluster(security=security) as cluster, Client(cluster, security=security) as client:
    show(client)
`,
  "a class derived from distributed.LocalCluster": `
import distributed

class Mine(distributed.LocalCluster):
    def __init__(self, size):
        super().__init__(n_workers=size)
        self.size = size

cluster = Mine(2)
assert cluster.size == 2 and isinstance(cluster, Mine)
show(cluster.get_client())
cluster.close()
`,
  "SpecCluster()": `
from distributed import Scheduler, SpecCluster, Worker
cluster = SpecCluster(scheduler={"cls": Scheduler, "options": {"port": 0}}, workers={0: {"cls": Worker, "options": {}}})
show(Client(cluster))
`,
  "asynchronous LocalCluster() and Client()": `
import asyncio
from dask.distributed import LocalCluster

async def main():
    async with LocalCluster(n_workers=2, asynchronous=True) as cluster:
        async with Client(cluster, asynchronous=True) as client:
            await client.wait_for_workers(2)
            assert await client.submit(sum, [1, 2]) == 3
        await cluster.scale(5)
        assert len(cluster.workers) <= 2
    async with Client(n_workers=2, asynchronous=True) as client:
        assert await client.submit(sum, [1, 2]) == 3

asyncio.run(main())
show(Client())
`,
  "SLURMCluster of dask-jobqueue, and those of other systems": `
from dask_jobqueue import HTCondorCluster, LSFCluster, MoabCluster, OARCluster, PBSCluster, SGECluster, SLURMCluster
import dask
assert dask.config.get("jobqueue.slurm.walltime") == "00:30:00" and dask.config.get("jobqueue.pbs.queue") is None
words = {"queue": "regular", "cores": 24, "processes": 2, "memory": "64GB", "walltime": "01:00:00"}
for system in HTCondorCluster, LSFCluster, MoabCluster, OARCluster, PBSCluster, SGECluster, SLURMCluster:
    cluster = system(**words)
    cluster.scale(jobs=4)
    assert cluster.job_script() and repr(cluster).startswith(system.__name__)
    with Client(cluster) as client:
        assert client.submit(sum, [1, 2]).result() == 3
from dask_jobqueue.core import Job
from dask_jobqueue.slurm import SLURMJob

class MyJob(SLURMJob):
    submit_command = "mine"

class MyCluster(SLURMCluster):
    job_cls = MyJob

assert issubclass(MyJob, Job) and MyJob(scheduler="x", name="y") and isinstance(MyCluster(cores=1, memory="1GB"), SLURMCluster)
show(Client(cluster))
`,
  "SLURMRunner of dask-jobqueue": `
from dask_jobqueue.slurm import SLURMRunner
with SLURMRunner(scheduler_file="scheduler-{job_id}.json") as runner:
    with Client(runner) as client:
        client.wait_for_workers(runner.n_workers)
        show(client)
`,
  "dask_mpi.initialize()":
    "import dask_mpi\nassert dask_mpi.initialize(nthreads=1, dashboard=False) is True\nshow(Client())\n",
  "dask_mpi.core.initialize(exit=False)": `
from dask_mpi.core import initialize
from dask_mpi import send_close_signal
if initialize(exit=False):
    show(Client())
    send_close_signal()
`,
  "dask_mpi.execute()": `
from dask_mpi import execute

def work(client_class):
    show(client_class())

execute(work, [Client], exclusive_workers=False)
`,
  "dask_mpi and workers=2": `
from dask_mpi import execute

def work():
    client = Client()
    show(client)
    assert client.submit(pid, workers=2).result() != client.submit(pid, workers=3, pure=False).result()

execute(client_function=work)
`,
  dask_kubernetes: `
from dask_kubernetes import HelmCluster, KubeCluster as Classic, make_pod_spec
from dask_kubernetes.operator import KubeCluster, make_cluster_spec
spec = make_cluster_spec(name="some", n_workers=2, resources={"limits": {"memory": "8Gi"}})
spec["spec"]["worker"]["spec"]["nodeSelector"] = {"disktype": "ssd"}
pod = make_pod_spec(image="daskdev/dask", memory_limit="4G", env={"A": "b"})
pod.spec.containers[0].resources.limits["memory"] = "8Gi"
for cluster in Classic(pod), Classic.from_yaml("worker.yml"), HelmCluster(release_name="x"), KubeCluster(name="x", n_workers=2):
    with cluster, Client(cluster) as client:
        assert client.submit(sum, [1, 2]).result() == 3
cluster = KubeCluster(custom_cluster_spec=spec)
cluster.add_worker_group("highmem", n_workers=2)
cluster.scale(5, worker_group="highmem")
show(cluster.get_client())
`,
  dask_gateway: `
from dask_gateway import Gateway, GatewayCluster
cluster = Gateway().new_cluster()
cluster.adapt(minimum=2, maximum=10)
show(cluster.get_client())
assert GatewayCluster().scheduler_address == cluster.scheduler_address
`,
  "coiled.Cluster()": 'import coiled\nshow(coiled.Cluster(n_workers=10, region="eu").get_client())\n',
};

describe.each(availablePythons().map(({ name, path }) => [name, path] as const))(
  "with %s, the launch's own workers do the tasks of a script with",
  (_, path) => {
    it.each(Object.entries(forms))("%s", async (_name, text) => {
      const finished = await launch(text, { path });
      expect(finished, tell(finished)).toMatchObject({ code: 0, timedOut: false });
      expect(finished.stdout.split(/\r?\n/), tell(finished)).toContain(expected(text));
    });
  },
);

/** What asks the launcher's environment, too, is tried under each of them; of the rest, each form under one. */
const asksLauncher = /dask_mpi|Runner/;
const vias = (["openmpi4", "mpich4", "srun-pmi2"] as const).filter((name) => availableLaunchers(name).length > 0);

describe.each(vias)("under %s, too: ", (via) => {
  const own = Object.entries(forms).filter(
    ([, text], index) => asksLauncher.test(text) || vias[index % vias.length] === via,
  );
  it.each(own)("%s", async (_name, text) => {
    const finished = await launch(text, { via });
    expect(finished, tell(finished)).toMatchObject({ code: 0, timedOut: false });
    expect(finished.stdout.split(/\r?\n/), tell(finished)).toContain(expected(text));
  });
});

it("says in one line what was asked for and is not there, and that the launch does not grow", async () => {
  const finished = await launch(
    'client = Client(n_workers=16, threads_per_worker=1, memory_limit="1MB")\nclient.cluster.scale(20)\nclient.cluster.scale(20)\n',
    { words: ["--wait-workers", "all", "--nthreads", "1"] },
  );
  expect(finished.stderr).toMatch(
    /^tsdask-mpi: Client\(n_workers=16, memory_limit='1MB'\): the script gets this launch's 2 workers, each a process with 1 thread and [\d.]+ GiB\.$/m,
  );
  expect(finished.stderr.match(/scale\(20\): this launch is as large as it is, 2 workers/g)).toHaveLength(1);
  const quiet = await launch("Client(n_workers=16)\n", { words: ["--quiet"] });
  expect(quiet.stderr).toBe("");
});

it("a script of plain Client() hears nothing of it, and sys.path is as the user has it", async () => {
  const finished = await launch(
    'import os, sys\nclient = Client()\nprint([p for p in sys.path if "adopt" in p], os.environ["PYTHONPATH"].split(":")[1:])\n',
    { env: { PYTHONPATH: "/nowhere:/nor/here" }, words: ["--quiet"] },
  );
  expect(finished.stdout).toBe("[] ['/nowhere', '/nor/here']\n");
  expect(finished.stderr).toBe("");
});

it("client.shutdown() ends the launch, and an address of another cluster is that cluster's", async () => {
  const own = `
from distributed import LocalCluster, Scheduler
import asyncio
${ownSecurity}
async def other():
    async with Scheduler(port=0, dashboard=False, security=security) as scheduler:
        async with Client(scheduler.address, asynchronous=True, security=security) as client:
            assert client.cluster is None
            print("other", len(client.scheduler_info()["workers"]))
    async with Scheduler(port=0, dashboard=False, protocol="tcp", security=Security(require_encryption=False)) as scheduler:
        for address in scheduler.address, scheduler.address.partition("://")[2]:
            async with Client(address, asynchronous=True) as client:
                print("tcp", client.security.tls_client_key)
    try:
        await Client(os.environ["DASK_SCHEDULER_ADDRESS"].replace("tls", "tcp"), asynchronous=True, timeout=100)
    except RuntimeError as error:
        print("refused", "encryption required" in str(error))

asyncio.run(other())
client = Client(LocalCluster())
client.shutdown()
`;
  const finished = await launch(own);
  expect(finished, tell(finished)).toMatchObject({ code: 0, timedOut: false });
  expect(finished.stdout).toBe("other 0\ntcp None\ntcp None\nrefused True\n");
});

it.each(availablePythons())(
  "after client.shutdown() the next cluster is refused at once, with $name",
  async ({ path }) => {
    const text = `
import dask
from distributed import LocalCluster
cluster = LocalCluster()
Client(cluster).shutdown()
# Whoever tried to connect would do so for longer than the launch is waited for.
dask.config.set({"distributed.comm.timeouts.connect": "1000s"})
for make in LocalCluster, lambda: Client(n_workers=2), Client, lambda: Client(cluster):
    try:
        make()
    except RuntimeError as error:
        print(error)
`;
    const finished = await launch(text, { path });
    expect(finished, tell(finished)).toMatchObject({ code: 0, timedOut: false });
    const line =
      /^(LocalCluster|Client): client\.shutdown\(\) has ended this launch's cluster, .+ client\.close\(\) instead/;
    expect(finished.stdout.trim().split("\n"), tell(finished)).toEqual(Array(4).fill(expect.stringMatching(line)));
  },
);

it("warn leaves a script its own cluster and says so; allow says nothing", async () => {
  const text =
    'import os\nif __name__ == "__main__":\n    with Client(n_workers=1, processes=False, dashboard_address=None) as client:\n        print("here", client.submit(os.getpid).result() == os.getpid())\n';
  const tcp =
    '    from distributed import LocalCluster\n    with LocalCluster(processes=False, dashboard_address=None, protocol="tcp") as cluster, Client(cluster) as client:\n        print(cluster.scheduler_address[:3])\n    with Client(processes=False, protocol="tcp", dashboard_address=None) as client:\n        print(client.scheduler.address[:3])\n';
  const warned = await launch(text + tcp, { words: ["--own-clusters", "warn"] });
  expect(warned, tell(warned)).toMatchObject({ code: 0 });
  expect(warned.stdout).toBe("here True\ntcp\ntcp\n");
  expect(warned.stderr).toContain("starts workers of its own on this host; the 2 workers of this launch may stay idle");
  const allowed = await launch(
    text
      .replace(
        "Client(n_workers=1, processes=False, dashboard_address=None)",
        "LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster, Client(cluster)",
      )
      .replace("import os", "import os\nfrom distributed import LocalCluster"),
    { words: ["--own-clusters", "allow"] },
  );
  expect(allowed, tell(allowed)).toMatchObject({ code: 0 });
  expect(allowed.stdout).toBe("here True\n");
  expect(allowed.stderr).not.toContain("may stay idle");
});

it("a process that the script starts gets this cluster, a worker and what it starts do not", async () => {
  const finished = await launch(`
import subprocess, sys

def in_worker():
    import os, subprocess, sys
    return [os.environ.get("TSDASK_CLUSTERS"), subprocess.run([sys.executable, "-c", "import sys; print(any('Finder' == getattr(f, '__name__', '') and 'tsdask' in f.__module__ for f in sys.meta_path))"], capture_output=True, text=True).stdout]

if __name__ == "__main__":
    client = Client()
    print(client.submit(in_worker).result())
    code = "from distributed import LocalCluster; print(LocalCluster().scheduler_address)"
    print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == client.scheduler.address)
`);
  expect(finished, tell(finished)).toMatchObject({ code: 0 });
  expect(finished.stdout).toBe("[None, 'False\\n']\nTrue\n");
});

it("--script-scale lets the script's scale() start worker jobs", async () => {
  const text = `
if __name__ == "__main__":
    client = Client()
    client.wait_for_workers(2, timeout=200)  # The launch's own, which scale() counts when they are in.
    client.cluster.scale(3)
    client.wait_for_workers(3, timeout=200)
    print("workers", len(client.scheduler_info()["workers"]))
`;
  const finished = await launch(text, { words: ["--script-scale", "3"] });
  expect(finished, tell(finished)).toMatchObject({ code: 0, timedOut: false });
  expect(finished.stdout).toBe("workers 3\n");
});

it("the script's client waits for the scheduler of a large launch as its workers do, unless the user's configuration says otherwise", async () => {
  const words = ["--expected-workers", "3000"];
  const timeouts = (user: string): string => `
import dask
${user}
from dask.distributed import Client

if __name__ == "__main__":
    with Client():
        print(*(dask.config.get(f"distributed.comm.timeouts.{name}") for name in ("connect", "tcp")))
`;
  expect((await launch(timeouts(""), { words })).stdout).toBe("320s 320s\n");
  const own = await launch(timeouts('dask.config.set({"distributed.comm.timeouts.connect": "77s"})'), { words });
  expect(own.stdout, tell(own)).toBe("77s 320s\n");
});
