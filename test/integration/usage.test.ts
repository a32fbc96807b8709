import { existsSync, lstatSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { availableLaunchers, launcher } from "./bed/launchers.ts";
import { nothingLeft } from "./bed/left.ts";
import { availablePythons } from "./bed/pythons.ts";
import { type Finished, run, tell } from "./bed/run.ts";
import { program, tsdask } from "./launch.ts";

/** What the launch says after its sentence on the end. */
const afterEnd = ({ stderr }: Finished): string[] => {
  const lines = stderr
    .split("\n")
    .filter((line) => line.startsWith("tsdask-mpi: "))
    .map((line) => line.slice("tsdask-mpi: ".length));
  return lines.slice(
    1 + lines.findIndex((line) => / (finished|ended with exit code \d+|was shut down|was lost) after /.test(line)),
  );
};

const python = (body: string): string => `
import os, sys, time, dask
from dask.distributed import Client, get_worker

def where(_):
    return get_worker().name

if __name__ == "__main__":
    client = Client()
    client.wait_for_workers(2)
    workers = sorted(client.run(lambda dask_worker: dask_worker.name))
${body.trim().replace(/^/gm, "    ")}
`;
const everywhere = `
tasks = [client.submit(where, index, workers=[worker], pure=False) for worker in workers for index in range(5)]
assert len(set(client.gather(tasks))) == 2
`;

const figures = (tasks: string): RegExp =>
  new RegExp(`^${tasks}, processor (under )?\\d+ % of 2 threads, at most [\\d.]+ [MG]iB of [\\d.]+ GiB in a worker$`);

describe.each(availableLaunchers("openmpi4", "local"))("the end under $name", (one) => {
  const launched = async (
    script: string,
    options: readonly string[] = [],
  ): Promise<{ finished: Finished; lines: string[] }> => {
    await one.ready();
    await using clean = nothingLeft();
    const file = clean.write("script.py", script);
    const finished = await run(one.command(4, program("--nthreads", "1", ...options, file)), {
      folder: clean.folder,
      env: clean.env,
    });
    return { finished, lines: afterEnd(finished) };
  };

  test("has the figures of a cluster that was used", async () => {
    const { finished, lines } = await launched(python(everywhere));
    expect(finished.code, tell(finished)).toBe(0);
    expect(lines, tell(finished)).toEqual([expect.stringMatching(figures("10 tasks"))]);
  });

  test("says that a script without Dask used nothing", async () => {
    const { finished, lines } = await launched(`print("done")\n`, ["--wait-workers", "all"]);
    expect(lines, tell(finished)).toEqual([
      expect.stringMatching(figures("0 tasks")),
      "no client ever connected: script.py made no `Client()` of this cluster, so the workers had nothing to do.",
    ]);
  });

  test("says that a script which computes with its own threads used nothing", async () => {
    const { finished, lines } = await launched(
      python(`assert dask.delayed(sum)([1, 2]).compute(scheduler="threads") == 3`),
    );
    expect(lines[1], tell(finished)).toMatch(/^a client connected, no task ran: .+scheduler="threads"/);
  });

  test("says that one task used one worker", async () => {
    const { finished, lines } = await launched(python("client.submit(where, 1).result()\nsys.exit(5)"));
    expect(finished.code).toBe(5);
    expect(lines, tell(finished)).toEqual([
      expect.stringMatching(figures("1 task")),
      expect.stringMatching(/^tasks ran on 1 of 2 workers: with only 1 task, /),
    ]);
  });

  test("a summary in a folder that is not there ends the launch at once", async () => {
    const { finished } = await launched(`print("never")\n`, ["--json-summary", "no/summary.json"]);
    expect(finished, tell(finished)).toMatchObject({ code: 64, stdout: "" });
    expect(finished.stderr).toContain("TSD-115 ");
  });
});

/** Runs a script under the built-in launcher and returns its summary. */
const summarised = async (
  path: string,
  script: string | undefined,
  options: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<{ finished: Finished; summary: Readonly<Record<string, unknown>> }> => {
  await using clean = nothingLeft();
  const words = [tsdask, "--python", path, "--nthreads", "1", "--json-summary", "summary.json", ...options];
  const finished = await run(
    launcher("local").command(4, script === undefined ? words : [...words, clean.write("script.py", script)]),
    { folder: clean.folder, env: { ...clean.env, ...env } },
  );
  const file = join(clean.folder, "summary.json");
  if (!existsSync(file)) throw new Error(`there is no summary: ${tell(finished)}`);
  expect(lstatSync(file).mode & 0o777).toBe(0o600);
  const summary = JSON.parse(readFileSync(file, "utf8")) as Readonly<Record<string, unknown>>;
  rmSync(file);
  return { finished, summary };
};

describe.each(availablePythons())("the summary with $name", ({ path }) => {
  test("has what a program may ask for", async () => {
    const { finished, summary } = await summarised(path, python(`${everywhere}sys.exit(3)`), [
      "--quiet",
      "--no-dashboard",
    ]);
    expect(finished.stderr).toBe("");
    expect(summary, tell(finished)).toMatchObject({
      format: 1,
      state: "ended",
      ending: { kind: "script", name: "script.py", code: 3 },
      exit_code: 3,
      use: "all-workers",
      workers: 2,
      workers_with_tasks: 2,
      clients: 1,
      tasks: 10,
      restarts: 0,
      spilled_bytes: 0,
      threads: 2,
    });
    expect(summary["thread_seconds"]).toBeGreaterThan(0);
    expect(summary["peak_memory"]).toBeGreaterThan(20_000_000);
    expect(summary["peak_memory"]).toBeLessThan(summary["memory_limit"] as number);
  });

  test("says that tasks waited for resources which no worker has", async () => {
    const script = python(`
waiting = [client.submit(where, index, resources={"GPU": 1}, pure=False) for index in range(3)]
assert client.submit(where, 2, resources={"FPGA": 1}).result() in workers
states = lambda dask_scheduler: [task.state for task in dask_scheduler.tasks.values() if "GPU" in (task.resource_restrictions or ())]
while client.run_on_scheduler(states) != ["no-worker"] * 3:
    time.sleep(0.05)
`);
    const { finished } = await summarised(path, script, ["--resources", "FPGA=1"]);
    expect(finished.stderr, tell(finished)).toMatch(
      /^tsdask-mpi: 3 tasks waited for a worker in vain: none had the resources \(`--resources GPU=1`, `--group`\), .+$/m,
    );
  });

  test("counts what was spilled, a worker that was lost, and tasks that failed", { timeout: 90_000 }, async () => {
    const body = `
def fill(index):
    return os.urandom(5_000_000)

def end_once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os._exit(1)

def fail():
    raise ValueError
held = client.map(fill, range(10), workers=[workers[0]], pure=False)
client.gather(client.map(len, held))
until = time.monotonic() + 30
while time.monotonic() < until and not any(worker["metrics"].get("spilled_bytes", {}).get("disk") for worker in client.scheduler_info()["workers"].values()):
    time.sleep(0.1)
client.submit(end_once, os.environ["TMPDIR"] + "/ended", workers=[workers[1]], allow_other_workers=True).result(timeout=60)
os.unlink(os.environ["TMPDIR"] + "/ended")
assert isinstance(client.submit(fail).exception(), ValueError)
# What is on disks is looked at every other second; nobody but the launch sees when it was.
time.sleep(5)
`;
    const { finished, summary } = await summarised(path, python(body), ["--memory-limit", "1GiB"], {
      DASK_DISTRIBUTED__WORKER__MEMORY__TARGET: "0.01",
    });
    expect(finished.code, tell(finished)).toBe(0);
    expect(summary, tell(finished)).toMatchObject({ workers: 2, restarts: 1 });
    // What was lost with the worker is computed again.
    expect(summary["tasks"]).toBeGreaterThanOrEqual(21);
    expect(summary["spilled_bytes"]).toBeGreaterThan(1_000_000);
    expect(finished.stderr).toMatch(/, 1 restart, [\d.]+ MiB spilled to disk$/m);
  });

  test("leaves out what a killed scheduler took with it", async () => {
    const { finished, summary } = await summarised(
      path,
      python("os.kill(client.run_on_scheduler(os.getpid), 9)\ntime.sleep(60)"),
    );
    expect(finished.code, tell(finished)).toBe(72);
    expect(summary).toMatchObject({
      ending: { kind: "scheduler-lost" },
      exit_code: 72,
      use: "unknown",
      tasks: null,
      clients: null,
      workers: 2,
      threads: 2,
    });
    expect(afterEnd(finished)).toEqual([
      expect.stringMatching(/^processor .+ of 2 threads(, at most .+ in a worker)?$/),
    ]);
  });

  test("a cluster that served nobody says so", async () => {
    const { finished, summary } = await summarised(path, undefined, ["--idle-timeout", "1s"]);
    expect(summary, tell(finished)).toMatchObject({
      ending: { kind: "idle" },
      exit_code: 0,
      use: "no-client",
      tasks: 0,
    });
    expect(afterEnd(finished).at(-1)).toBe("no client ever connected.");
  });
});

test.concurrent.each(availablePythons())(
  "a script that has returned while a thread of it lives is told why its launch goes on, with $name",
  { timeout: 60_000 },
  async ({ path }) => {
    await using clean = nothingLeft();
    const script = clean.write(
      "script.py",
      python("import threading\nthreading.Thread(target=time.sleep, args=(24,)).start()"),
    );
    const finished = await run(launcher("local").command(4, [tsdask, "--python", path, script]), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(finished.code, tell(finished)).toBe(0);
    expect(finished.stderr.match(/TSD-118 script\.py has returned/g), tell(finished)).toHaveLength(1);
  },
);

test("a launch that fails at its start leaves a summary, too", async () => {
  await using clean = nothingLeft();
  const finished = await run(launcher("local").command(4, program("--json-summary", "summary.json", "missing.py")), {
    folder: clean.folder,
    env: clean.env,
  });
  const file = join(clean.folder, "summary.json");
  expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({
    state: "ended",
    ending: { kind: "failed", code: "TSD-015" },
    exit_code: 64,
  });
  expect(finished.code).toBe(64);
  rmSync(file);
});
