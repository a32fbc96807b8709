import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { jobEnvironment, ours, until } from "./batch-jobs.ts";
import { command } from "./bed/command.ts";
import { availableLaunchers, launcher, type Launcher } from "./bed/launchers.ts";
import { type Clean, nothingLeft } from "./bed/left.ts";
import { isAlive, signalAll, tree } from "./bed/processes.ts";
import { type Finished, run, type Running, start, tell } from "./bed/run.ts";
import { queuedJobs, slurmAvailable, startSlurm } from "./bed/slurm.ts";
import { program, tsdask } from "./launch.ts";

/** A script that waits for SIGTERM, after one task that fails loudly on its worker. */
const waits = `
import time
from dask.distributed import Client

def loud():
    import logging
    print("a task prints this", flush=True)
    logging.getLogger("distributed.worker").warning("a task warns of this")

if __name__ == "__main__":
    with Client() as client:
        client.submit(loud).result()
        print("computed", flush=True)
        time.sleep(1000)
`;

/** `stop` waits for so long, and a little more, where the machine is busy; nobody here uses it up. */
const patience = ["--grace", "100s"];

interface Row {
  readonly name: string;
  readonly state: string;
  readonly why: string | null;
  readonly workers: number | null;
  readonly folder: string;
}

const call = (clean: Clean, ...words: string[]): Promise<Finished> =>
  run(ours(...words), { folder: clean.tmp, env: clean.env });

/** All clusters of this place are looked at by `list`, which takes not much longer for ten of them than for none. */
async function quickly(clean: Clean): Promise<readonly Row[]> {
  await using nobody = nothingLeft();
  const { seconds: none } = await list(nobody);
  const { rows, seconds } = await list(clean);
  // A second look is there for a machine that is busy with other things at the first.
  const best = seconds < 2 ? seconds : Math.min(seconds, (await list(clean)).seconds);
  // Asked one after the other, those that do not answer alone would take 1.2 s each.
  expect(best).toBeLessThan(Math.max(2, 5 * none));
  return rows;
}

/** What `list` says of these clusters, as soon as it is this; a scheduler may answer too late on a busy machine. */
async function listed(clean: Clean, expected: Readonly<Record<string, Partial<Row>>>): Promise<void> {
  const names = Object.keys(expected);
  let seen: Record<string, Partial<Row> | undefined> = {};
  const said = (): string => `list says what it should, but ${JSON.stringify(seen)}`;
  await until(said, 60, async () => {
    const { rows } = await list(clean);
    seen = Object.fromEntries(names.map((name) => [name, named(rows, name)]));
    return names.every((name) =>
      Object.entries(expected[name] ?? {}).every(([key, value]) => seen[name]?.[key as keyof Row] === value),
    );
  });
}

async function list(clean: Clean): Promise<{ readonly rows: readonly Row[]; readonly seconds: number }> {
  const { stdout, seconds } = await call(clean, "list", "--json");
  return { rows: JSON.parse(stdout) as Row[], seconds };
}

/** Starts a cluster in a folder of its own and waits until its script has computed. */
async function cluster(clean: Clean, kind: Launcher, name: string, options: readonly string[] = []): Promise<Running> {
  await kind.ready();
  const file = clean.write(`${name}/script.py`, waits);
  mkdirSync(join(clean.folder, name), { recursive: true });
  const words = program("--cluster-name", name, "--wait-workers", "all", ...patience, ...options, file);
  const running = start(kind.command(3, words), { folder: join(clean.folder, name), env: clean.env });
  await running.says(/computed/);
  return running;
}

const named = (rows: readonly Row[], name: string): Row | undefined => rows.find((row) => row.name === name);

/** Starts a cluster without a script and waits until its worker is in. */
async function server(clean: Clean, kind: Launcher, folder: string, name: string): Promise<Running> {
  const words = program("--cluster-name", name, "--no-dashboard", ...patience);
  const running = start(kind.command(2, words), { folder: join(clean.folder, folder), env: clean.env });
  await running.says(/the worker is in after/);
  return running;
}

test("each of ten clusters under three launchers in three folders is looked at by list within 2 s, also when half were killed with everything in them; stop --all leaves nothing", async () => {
  await using clean = nothingLeft();
  // The host's own folder of a launch that is killed with all its processes is cleared away by the next launch there.
  clean.allow(/^tsdask-\d+/, /^dask-scratch-space/);
  const kinds = availableLaunchers("local", "openmpi4", "srun-pmi2");
  const withScript = await Promise.all(kinds.map((kind) => cluster(clean, kind, kind.name)));
  // Slurm's two nodes have no room for more; what ends under it is told by its own tests.
  const others = kinds.filter(({ name }) => name !== "srun-pmi2");
  const more = Array.from({ length: 10 - kinds.length }, (_, index) => {
    const kind = others[index % others.length] ?? launcher("local");
    return { kind, folder: kinds[index % kinds.length]?.name ?? kind.name, name: `server-${index}` };
  });
  const servers = await Promise.all(more.map(({ kind, folder, name }) => server(clean, kind, folder, name)));
  const names = [...kinds.map(({ name }) => name), ...more.map(({ name }) => name)];
  await listed(clean, Object.fromEntries(names.map((name) => [name, { state: "running", workers: 1 }])));
  const rows = await quickly(clean);
  expect(rows).toHaveLength(10);
  for (const { name, folder } of more) expect(named(rows, name)).toMatchObject({ folder: join(clean.folder, folder) });

  const openMpi = kinds.findIndex(({ name }) => name === "openmpi4");
  const victims = [...withScript.slice(openMpi, openMpi + 1), ...servers.slice(0, 4)];
  const killed = [...kinds.slice(openMpi, openMpi + 1), ...more.slice(0, 4)].map(({ name }) => name);
  const all = victims.flatMap(({ pid }) => tree(pid).map((one) => one.pid));
  signalAll(all, "SIGSTOP");
  signalAll(all, "SIGKILL");
  await Promise.all(victims.map(({ finished }) => finished));
  // The launchers' ends say nothing of the others'.
  await until("the end of all that were killed", 60, () => !all.some(isAlive));
  const after = await quickly(clean);
  for (const name of killed)
    expect(named(after, name)).toMatchObject({ state: "ended", why: expect.stringContaining("killed") });
  const alive = names.filter((name) => !killed.includes(name));
  await listed(clean, Object.fromEntries(alive.map((name) => [name, { state: "running" }])));
  if (openMpi >= 0) {
    const { stdout: log } = await call(clean, "logs", "openmpi4");
    expect(log).toContain("a task prints this");
    expect(log).toContain("WARNING - a task warns of this");
    expect(log).toContain("a worker is in");
    expect(await call(clean, "connect", "openmpi4")).toMatchObject({ code: 69 });
  }

  const stopped = await call(clean, "stop", "--all");
  expect(stopped, tell(stopped)).toMatchObject({ code: 0 });
  for (const name of killed) expect(stopped.stderr).toContain(`${name} had been killed; what it left is removed.`);
  for (const running of [...withScript, ...servers]) await running.finished;
  expect((await list(clean)).rows.map(({ state }) => state)).toEqual(names.map(() => "ended"));
});

describe("one cluster, by its name", () => {
  test("is looked at, followed and stopped; status disturbs nothing and a name that is none is told so", async () => {
    await using clean = nothingLeft();
    await using running = await cluster(clean, launcher("local"), "nightly", ["--report", "page.html"]);
    const status = await until("status knows it", 60, async () => {
      const found = await call(clean, "status", "nightly", "--json");
      const said = found.code === 0 ? (JSON.parse(found.stdout) as Record<string, unknown>) : undefined;
      return said?.["tasks"] ? said : undefined;
    });
    expect(status).toMatchObject({
      name: "nightly",
      tasks: { finished: 1, erred: 0, processing: 0, in_memory: expect.any(Number) },
      waits_for: "a client: there is no task to run",
      hosts: [{ workers: 1, threads: expect.any(Number) }],
    });
    expect((await call(clean, "status")).stdout).toMatch(/^nightly, .*script\.py, up /);
    expect((await call(clean, "env", "nightly")).stdout).toContain("nightly/scheduler.json");
    const wrong = await call(clean, "status", "nightl");
    expect(wrong).toMatchObject({ code: 64, stderr: expect.stringContaining("Did you mean nightly?") });

    await using following = start(ours("logs", "nightly", "--follow"), { folder: clean.tmp, env: clean.env });
    await following.says(/a task warns of this/);
    expect(await call(clean, "stop", "nightly")).toMatchObject({ code: 0 });
    expect(await following.finished).toMatchObject({ code: 0, stdout: expect.stringContaining("stopped by SIGTERM") });
    expect(await running.finished).toMatchObject({ code: 143 });

    // Its report is there, with Dask's own, and can be made anew of what it has left.
    const page = join(clean.folder, "nightly/page.html");
    expect(lstatSync(page).mode & 0o777).toBe(0o600);
    const made = await call(clean, "report", "nightly", "--output", "again.html");
    expect(made, tell(made)).toMatchObject({ code: 0, stdout: `${join(clean.tmp, "again.html")}\n` });
    for (const path of [page, join(clean.tmp, "again.html")]) {
      const text = readFileSync(path, "utf8");
      expect(text).toContain("stopped by SIGTERM, exit code 143");
      expect(text).toMatch(/The last of 1 workers? \(rank 2 on [^ ]+\) was in [\d.]+ s after the first process/);
      expect(text).toContain("The script started after");
      expect(text).toMatch(/<iframe [^>]*sandbox="allow-scripts" srcdoc=".{100000}/s);
      expect(text).toContain(">1 on 1 of 1 worker<");
      // Dask's own report counts from the scheduler's start.
      expect(text).toMatch(/Duration: [\d.]+ m?s /);
      rmSync(path);
    }
  });

  test("is found and stopped by its scheduler alone, as from another host, and --now needs no grace", async () => {
    await using clean = nothingLeft();
    await using running = await cluster(clean, launcher("local"), "elsewhere");
    const folder = join(clean.tmp, "../state/tsdask-mpi/clusters");
    const name = await until("the entry is written", 60, () => entryIn(folder));
    const entry = JSON.parse(readFileSync(join(folder, name), "utf8")) as Record<string, unknown>;
    writeFileSync(join(folder, name), JSON.stringify({ ...entry, host: "h9", machine: "another boot" }));
    await listed(clean, { elsewhere: { state: "running", workers: 1 } });
    const stopped = await call(clean, "stop", "elsewhere", "--now");
    expect(stopped, tell(stopped)).toMatchObject({ code: 0 });
    await running.finished;
  });

  test("runs without a place for its entry, and says so once", async () => {
    await using clean = nothingLeft();
    const file = clean.write(
      "script.py",
      "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\nprint('ran')",
    );
    await using running = start(launcher("local").command(3, program(file)), {
      folder: clean.folder,
      env: { ...clean.env, XDG_STATE_HOME: "/proc/none" },
    });
    await running.says(/TSD-146/);
    clean.write("go", "");
    const finished = await running.finished;
    expect(finished, tell(finished)).toMatchObject({ code: 0, stdout: "ran\n" });
    expect(finished.stderr.match(/TSD-146/g)).toHaveLength(1);
  });
});

if (slurmAvailable() === true) {
  test("a job that script --submit has submitted is listed as pending, with its name, and stop cancels it", async () => {
    await startSlurm();
    await using clean = nothingLeft();
    const env = jobEnvironment(clean);
    const words = [
      "script",
      "slurm",
      "--directive=--begin=now+1hour",
      "--time",
      "5m",
      "--memory",
      "500MiB",
      "--submit",
    ];
    const submitted = await run(ours(...words, "--", "--cluster-name", "later"), { folder: clean.folder, env });
    expect(submitted, tell(submitted)).toMatchObject({ code: 0 });
    const table = await run(ours("list"), { folder: clean.tmp, env });
    expect(table.stdout).toMatch(new RegExp(`^later +pending +slurm ${submitted.stdout.trim()} `, "m"));
    const stopped = await run(ours("stop", "later"), { folder: clean.tmp, env });
    expect(stopped, tell(stopped)).toMatchObject({ code: 0 });
    expect(await queuedJobs()).not.toContain(submitted.stdout.trim());
    // A busy Slurm may answer too late for one table.
    await until("its end in the table", 60, async () =>
      /^later +ended/m.test((await run(ours("list"), { folder: clean.tmp, env })).stdout),
    );
  });
}

function entryIn(folder: string): string | undefined {
  try {
    return readdirSync(folder).find(
      (name) => name.endsWith(".json") && readFileSync(join(folder, name), "utf8").includes('"running"'),
    );
  } catch {
    return undefined; // Not yet made.
  }
}

test("a reader that has seen enough ends a command quietly, as it ends other programs", async () => {
  await using clean = nothingLeft();
  const piped = await run(command("bash", "-c", `"${tsdask}" explain | true; echo "code \${PIPESTATUS[0]}"`), {
    folder: clean.folder,
    env: clean.env,
  });
  expect(piped.stderr).toBe("");
  expect(piped.stdout).toMatch(/^code (0|141)\n$/);
});
