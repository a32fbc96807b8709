import { describe, expect, test } from "vitest";
import { type Finished, run, start, tell } from "../bed/run.ts";
import { command } from "../bed/command.ts";
import { nothingLeft } from "../bed/left.ts";
import { availablePythons, python } from "../bed/pythons.ts";
import { tsdask } from "../launch.ts";
import { codes, endsWithin, type FaultOptions, faultLaunchers, launch, message } from "./fault.ts";

const script = (body: string): string => `
import os, sys, time
from dask.distributed import Client, get_worker, wait

def pid(dask_worker=None):
    return os.getpid()

if __name__ == "__main__":
    client = Client()
    client.wait_for_workers(2)
${body.replace(/^/gm, "    ")}
`;

/** Fills a worker's memory, to 800 MiB at most, until it is ended for it; the second time it does nothing. */
const greedy = script(`
def fill(path):
    if os.path.exists(path):
        return "spared"
    open(path, "w").close()
    held = []
    while True:
        if len(held) < 50:
            held.append(bytearray(16 * 2**20))
            held[-1][::4096] = b"x" * 4096
        time.sleep(0.01)

print(client.submit(fill, os.path.abspath("filled")).result(timeout=50))
client.wait_for_workers(2)
sys.exit(7)
`);

const restarting = script(`
before = client.run(pid)
client.restart()
client.wait_for_workers(2, timeout=50)
middle = client.run(pid)
assert not set(before.values()) & set(middle.values()), (before, middle)
victim = next(iter(middle))
client.restart_workers([victim])
client.wait_for_workers(2, timeout=50)
after = client.run(pid)
assert len(set(middle.values()) & set(after.values())) == 1, (middle, after)
print("restarted", client.submit(sum, [1, 2]).result())
sys.exit(7)
`);

const retiring = script(`
victim = next(iter(client.ncores()))
kept = client.submit(lambda: "kept", workers=[victim], pure=False, allow_other_workers=True)
wait(kept)
client.retire_workers([victim])
# Nobody comes in its place: one that died would be back within a second (0.2 s pause, and its start).
time.sleep(2.5)
print("workers", len(client.ncores()), kept.result())
sys.exit(7)
`);

describe.each(faultLaunchers.filter(({ name }) => name === "local"))("workers under $name", (launcher) => {
  test.each(availablePythons().map(({ name, path }) => [name, path] as const))(
    "that pass their memory limit are started anew, and the script goes on (%s)",
    async (_, path) => {
      await using one = await launch(launcher, {
        script: greedy,
        options: ["--python", path, "--memory-limit", "400MiB"],
      });
      one.clean.allow(/^filled$/);
      const finished = await one.ends(60);
      expect(finished.code, tell(finished)).toBe(7);
      expect(finished.stdout).toContain("spared");
      expect(finished.stderr).toMatch(message("TSD-055"));
      expect(finished.stderr).toMatch(/it used \d+ MiB, more than its limit allows/);
      expect(codes(finished)).toEqual(["TSD-055"]);
    },
  );

  test.each(availablePythons().map(({ name, path }) => [name, path] as const))(
    "are restarted by Client.restart() and Client.restart_workers() (%s)",
    async (_, path) => {
      await using one = await launch(launcher, { script: restarting, options: ["--python", path] });
      const finished = await one.ends(60);
      expect(finished.code, tell(finished)).toBe(7);
      expect(finished.stdout).toContain("restarted 3");
      expect(codes(finished)).toEqual([]);
    },
  );

  test.each(availablePythons().map(({ name, path }) => [name, path] as const))(
    "whose limit is little more than what they share compute all the same, and are said to have little (%s)",
    async (_, path) => {
      const work = script("print('sum', sum(client.gather(client.map(lambda x: x, range(100)))))\nsys.exit(7)");
      await using one = await launch(launcher, {
        script: work,
        options: ["--python", path, "--memory-limit", "64MiB"],
      });
      const finished = await one.ends(60);
      expect(finished.code, tell(finished)).toBe(7);
      expect(finished.stdout).toContain("sum 4950");
      expect(codes(finished).filter((code) => code !== "TSD-158")).toEqual(["TSD-198"]);
      expect(finished.stderr).not.toContain("Pausing");
    },
  );

  test.each(availablePythons().map(({ name, path }) => [name, path] as const))(
    "that were retired stay away (%s)",
    async (_, path) => {
      await using one = await launch(launcher, { script: retiring, options: ["--python", path] });
      const finished = await one.ends(60);
      expect(finished.code, tell(finished)).toBe(7);
      expect(finished.stdout).toContain("workers 1 kept");
      expect(codes(finished)).toEqual([]);
    },
  );

  test("that die again and again stay away, and the launch ends with 73 when all have", async () => {
    const preload =
      "import os, threading\n\ndef dask_setup(worker):\n    if type(worker).__name__ == 'Worker':\n        threading.Timer(0.2, os._exit, [9]).start()\n";
    await using one = await launch(launcher, {
      files: { "mortal.py": preload },
      options: ["--preload", "./mortal.py", "--restarts", "1"],
    });
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(73);
    for (const code of ["TSD-055", "TSD-056", "TSD-054"]) expect(finished.stderr).toMatch(message(code));
  });

  /** As it ends when not enough workers come in time, of which a slow machine needs more until the cluster is up. */
  const tooFew = async (seconds: readonly number[], options: FaultOptions): Promise<Finished> => {
    const [first = 0, ...more] = seconds;
    await using one = await launch(launcher, {
      ...options,
      options: [...(options.options ?? []), "--start-timeout", `${first}s`],
    });
    const finished = await one.ends(first + endsWithin());
    expect(finished.code, tell(finished)).toBe(69);
    if (more.length > 0 && !message("TSD-053").test(finished.stderr)) return tooFew(more, options);
    expect(finished.stderr).toMatch(message("TSD-053"));
    return finished;
  };

  test.concurrent("more than there can be are waited for until --start-timeout: 69", async () => {
    await tooFew([8, 60], { options: ["--wait-workers", "3"] });
  });

  test.concurrent("that are slow to come are waited for until --start-timeout: 69", async () => {
    const preload =
      "import time\n\ndef dask_setup(worker):\n    if type(worker).__name__ == 'Worker' and worker.name.endswith('-3'):\n        time.sleep(1000)\n";
    const finished = await tooFew([12, 60], {
      files: { "slow.py": preload },
      options: ["--preload", "./slow.py", "--wait-workers", "all", "--grace", "1s"],
    });
    expect(finished.stderr).toContain("rank 3");
  });

  test("that are lost while the script waits for them end the launch at once: 69", async () => {
    const preload =
      "import os\n\ndef dask_setup(worker):\n    if type(worker).__name__ == 'Worker' and worker.name.endswith('-3'):\n        os._exit(9)\n";
    await using one = await launch(launcher, {
      files: { "mortal.py": preload },
      options: ["--preload", "./mortal.py", "--wait-workers", "all", "--restarts", "0"],
    });
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(69);
    expect(finished.stderr).toMatch(message("TSD-056"));
    expect(finished.stderr).toMatch(message("TSD-053"));
  });

  test("and scheduler end by Client.shutdown(), and the script goes on to its own end", async () => {
    await using one = await launch(launcher, { script: script('client.shutdown()\nprint("after")\nsys.exit(7)') });
    const finished = await one.ends();
    expect(finished.code, tell(finished)).toBe(7);
    expect(finished.stdout).toContain("after");
    expect(codes(finished)).toEqual([]);
  });
});

describe.each(faultLaunchers)("a cluster without a script under $name", (launcher) => {
  const serve = async (...options: string[]) => {
    await launcher.ready();
    const clean = nothingLeft();
    const running = start(
      launcher.command(3, [tsdask, "--python", python().path, "--wait-workers", "all", ...options]),
      { folder: clean.folder, env: clean.env },
    );
    return { clean, running };
  };

  test("ends with 0 when a client from outside shuts it down", async () => {
    const { clean, running } = await serve();
    await using _ = clean;
    await using __ = running;
    await running.says(/all 2 workers are in/);
    const shutdown = "from dask.distributed import Client\nClient(scheduler_file='scheduler.json').shutdown()";
    const security = command(tsdask, "env");
    const exports = await run(security, { folder: clean.folder, env: clean.env });
    expect(exports.code, tell(exports)).toBe(0);
    const asked = await run(command("sh", "-c", `${exports.stdout}\nexec "$0" -c "$1"`, python().path, shutdown), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(asked.code, tell(asked)).toBe(0);
    const finished = await running.finished;
    expect(finished.code, tell(finished)).toBe(0);
    expect(finished.stderr).toContain("shut down by a client");
    expect(codes(finished)).toEqual([]);
  });
});

describe.each(faultLaunchers.filter(({ name }) => name === "local"))("an idle cluster under $name", (launcher) => {
  test("ends with 0 after --idle-timeout", async () => {
    await using clean = nothingLeft();
    const finished = await run(launcher.command(3, [tsdask, "--python", python().path, "--idle-timeout", "1s"]), {
      folder: clean.folder,
      env: clean.env,
      deadline: endsWithin(),
    });
    expect(finished.code, tell(finished)).toBe(0);
    expect(finished.stderr).toContain("was idle for");
    expect(codes(finished)).toEqual([]);
  });
});
