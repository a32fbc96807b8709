import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { projectRoot } from "./bed/command.ts";
import { hostsAvailable, startHosts } from "./bed/hosts.ts";
import { availableLaunchers, launcher } from "./bed/launchers.ts";
import { type Clean, nothingLeft } from "./bed/left.ts";
import { availablePythons, python } from "./bed/pythons.ts";
import { type Finished, run, tell } from "./bed/run.ts";
import { program } from "./launch.ts";

const modules = { PYTHONPATH: join(projectRoot, "python") };

/** Rank 1 computes on every worker and ends as its argument says; no other rank comes past initialize(). */
const script = `
import os, sys
from dask.distributed import Client
from tsdask_mpi import initialize

initialize(dashboard_address=":0")
client = Client()
client.wait_for_workers(2)
named = getattr(client.scheduler, "addr", client.scheduler.address).split(":")[0]
print("total", client.submit(sum, range(1000)).result(), named, flush=True)
exec(sys.argv[1])
`;

const started = (
  one: ReturnType<typeof launcher>,
  ranks: number,
  words: readonly string[],
  clean: Clean,
  path = python().path,
): Promise<Finished> =>
  run(one.command(ranks, [path, ...words]), { folder: clean.folder, env: { ...clean.env, ...modules } });

describe.each(availableLaunchers("openmpi4", "mpich4", "srun-pmi2").map((one) => [one.name, one] as const))(
  "initialize() under %s",
  (_, one) => {
    test.each([
      ["client.close()", 0],
      ["sys.exit(7)", 7],
      ["raise KeyError('a')", 1],
      ["os._exit(9)", 9],
      ["import signal; os.kill(os.getpid(), signal.SIGKILL)", 137],
      [
        "import signal; os.kill(client.run_on_scheduler(os.getpid), signal.SIGKILL); import threading; threading.Event().wait()",
        72,
      ],
    ])("a script that ends by `%s` gives exit code %i, and nothing is left", async (end, code) => {
      await one.ready();
      await using clean = nothingLeft();
      const finished = await started(one, 4, [clean.write("script.py", script), end], clean);
      // Of a rank that was killed, Hydra returns the signal's number alone.
      expect(finished, tell(finished)).toMatchObject({
        code: code === 137 && one.name === "mpich4" ? 9 : code,
        timedOut: false,
      });
      expect(finished.stdout.match(/total 499500 tls/g), tell(finished)).toHaveLength(1);
    });

    test("a worker that is killed comes again, and the script goes on", async () => {
      await one.ready();
      await using clean = nothingLeft();
      const end = `
import signal, time
address, pid = next(iter(client.run(os.getpid).items()))
os.kill(pid, signal.SIGKILL)
while True:
    there = list(client.scheduler_info()["workers"])
    if len(there) == 2 and address not in there:
        break
    time.sleep(0.05)
print("again", client.submit(sum, [1]).result(), flush=True)
`;
      const finished = await started(one, 4, [clean.write("script.py", script), end], clean);
      expect(finished, tell(finished)).toMatchObject({ code: 0, timedOut: false });
      expect(finished.stdout).toContain("again 1");
    });

    test("a process that the script forks ends by itself alone", async () => {
      await one.ready();
      await using clean = nothingLeft();
      const end = `
if os.fork() == 0:
    sys.exit(0)
os.wait()
import time
time.sleep(1)
print("after", client.submit(sum, [1]).result(), flush=True)
sys.exit(3)
`;
      const finished = await started(one, 4, [clean.write("script.py", script), end], clean);
      expect(finished, tell(finished)).toMatchObject({ code: 3, timedOut: false });
      expect(finished.stdout).toContain("after 1");
    });

    test("with exit=False every rank goes on after the cluster's end", async () => {
      await one.ready();
      await using clean = nothingLeft();
      const file = clean.write(
        "script.py",
        `
import sys
from dask.distributed import Client
from tsdask_mpi import initialize, send_close_signal

client = initialize(exit=False)
if client:
    with Client() as c:
        print(c.submit(sum, [1, 2]).result(), flush=True)
    send_close_signal()
sys.stdout.write(f"on {client}\\n")  # one write: print() makes several where PYTHONUNBUFFERED is set
`,
      );
      const finished = await started(one, 4, [file], clean);
      expect(finished, tell(finished)).toMatchObject({ code: 0, timedOut: false });
      expect(
        finished.stdout
          .trim()
          .split(/[\r\n]+/)
          .sort(),
      ).toEqual(["3", "on False", "on False", "on False", "on True"]);
    });

    test("too few ranks are an exception with a code, at once", async () => {
      await one.ready();
      await using clean = nothingLeft();
      const finished = await started(one, 2, [clean.write("script.py", script), ""], clean);
      expect(finished, tell(finished)).toMatchObject({ code: 1, timedOut: false });
      expect(finished.stderr).toContain(
        "WorldTooSmallException: TSD-105 Not enough ranks to start the cluster: found 2",
      );
    });

    test("execute() runs its function in the rank asked for, and an error of it ends the launch with 1", async () => {
      await one.ready();
      for (const [fault, code] of [
        ["", 0],
        ["raise ValueError('wrong')", 1],
      ] as const) {
        await using clean = nothingLeft();
        const file = clean.write(
          "script.py",
          `
from dask.distributed import Client
from tsdask_mpi import execute

def work(first, second=0):
    with Client() as client:
        client.wait_for_workers(2)
        print("names", sorted(worker["name"] for worker in client.scheduler_info()["workers"].values()), first + second, flush=True)
    ${fault}

execute(work, (1,), {"second": 2}, client_rank=2, scheduler_rank=3)
`,
        );
        const finished = await started(one, 4, [file], clean);
        expect(finished, tell(finished)).toMatchObject({ code, timedOut: false });
        expect(finished.stdout).toContain("names [0, 1] 3");
        if (fault !== "") expect(finished.stderr).toContain("ValueError: wrong");
      }
    });
  },
);

if (hostsAvailable() === true) {
  describe.each(availableLaunchers("openmpi4", "mpich4").map(({ name }) => name as "openmpi4" | "mpich4"))(
    "initialize() on three hosts under %s",
    (kind) => {
      test("the hosts meet, and the exit code comes back", async () => {
        await using hosts = await startHosts();
        await using clean = nothingLeft();
        const words = [python().path, clean.write("script.py", script), "sys.exit(7)"];
        const started = hosts.mpirun(kind, { h1: 2, h2: 1, h3: 1 }, [
          "env",
          `PYTHONPATH=${modules.PYTHONPATH}`,
          ...words,
        ]);
        const finished = await run(started, { folder: clean.folder, env: clean.env });
        expect(finished, tell(finished)).toMatchObject({ code: 7, timedOut: false });
        expect(finished.stdout).toContain("total 499500 tls");
      });
    },
  );
}

test.each(availablePythons().map(({ name, path }) => [name, path] as const))(
  "initialize() with %s",
  async (_, path) => {
    const [one] = availableLaunchers("mpich4", "openmpi4");
    if (one === undefined) throw new Error("Neither MPICH nor Open MPI is here");
    await using clean = nothingLeft();
    const finished = await started(one, 4, [clean.write("script.py", script), "sys.exit(3)"], clean, path);
    expect(finished, tell(finished)).toMatchObject({ code: 3, timedOut: false });
  },
);

test("under tsdask-mpi the script has its cluster already, and initialize() says so", async () => {
  await using clean = nothingLeft();
  const words = program(clean.write("script.py", script), "sys.exit(5)");
  const finished = await run(launcher("local").command(4, words), {
    folder: clean.folder,
    env: { ...clean.env, ...modules },
  });
  expect(finished, tell(finished)).toMatchObject({ code: 5, timedOut: false });
  expect(finished.stdout).toContain("total 499500 tls");
});

test("a script without a launcher is told what is missing", async () => {
  await using clean = nothingLeft();
  const alone = { file: python().path, args: [clean.write("script.py", script), ""], env: {} };
  const finished = await run(alone, { folder: clean.folder, env: { ...clean.env, ...modules } });
  expect(finished, tell(finished)).toMatchObject({ code: 1, timedOut: false });
  expect(finished.stderr).toContain("TSD-105 Not enough ranks to start the cluster: found 1");
  expect(finished.stderr).toContain("mpirun -np 4 python script.py");
});
