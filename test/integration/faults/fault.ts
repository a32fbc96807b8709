import { readFileSync, readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Command } from "../bed/command.ts";
import { availableLaunchers, type BedLauncher, type Launcher, type LaunchOptions } from "../bed/launchers.ts";
import { type Clean, nothingLeft } from "../bed/left.ts";
import { environmentOf, isAlive, listeners, type Process, signalAll } from "../bed/processes.ts";
import { type Finished, type Running, run, start, tell } from "../bed/run.ts";
import { program } from "../launch.ts";

/** The launchers that the table of faults is run under: each treats signals and exit codes in its own way. */
export const faultLaunchers: readonly Launcher[] = availableLaunchers("openmpi4", "mpich4", "srun-pmi2", "local");

/** Whatever goes wrong, a launch that does not go on has ended after so long (s). */
export const endsWithin = 10;

/** Whether a launch goes on under this launcher when one of its ranks is killed: mpirun ends all of them. */
export function survivesAKilledRank({ name }: Launcher): boolean {
  return name === "local" || name.startsWith("srun");
}

/**
 * A script that keeps all workers busy. It says `running`, then `workers N` whenever their number changes, and ends with its first
 * argument as exit code once the file `go` is there.
 */
const busy = `
import os, sys, time
from dask.distributed import Client

def slow(x):
    time.sleep(0.02)
    return x

if __name__ == "__main__":
    client = Client()
    client.wait_for_workers(int(os.environ.get("WANTED", "2")))
    workers = round = 0
    while not os.path.exists("go"):
        numbers = list(range(round * 8, round * 8 + 8))
        assert client.gather(client.map(slow, numbers)) == numbers
        round += 1
        if round == 2:
            print("running", flush=True)
        if round > 1 and len(client.ncores()) != workers:
            workers = len(client.ncores())
            print("workers", workers, flush=True)
    sys.exit(int(sys.argv[1]))
`;

/** The processes of a launch by what they do; those that are not there (yet) are undefined. */
export interface Cast {
  readonly launcher: number | undefined;
  /** Rank processes by their rank. */
  readonly ranks: ReadonlyMap<number, number>;
  readonly forkServer: number | undefined;
  readonly scheduler: number | undefined;
  readonly workers: readonly number[];
  readonly script: number | undefined;
}

export type Part =
  | "scheduler"
  | "worker"
  | "worker's rank"
  | "rank 0"
  | "script"
  | "launcher"
  | "fork server"
  | "client's rank";

/** A launch that a test harms, with all that it takes to see what comes of it. */
export interface Launched extends AsyncDisposable {
  readonly clean: Clean;
  readonly running: Running;
  readonly cast: () => Cast;
  /** The process of a part, as soon as it is there; throws when it is not within 10 s. */
  readonly find: (part: Part) => Promise<number>;
  /** Kills a part outright. */
  readonly kill: (part: Part) => Promise<void>;
  /** Waits for the launcher's end, which must come within `seconds`, and looks at what every end must be like. */
  readonly ends: (seconds?: number) => Promise<Finished>;
}

export interface FaultOptions {
  readonly ranks?: number;
  readonly script?: string;
  /** Files that lie in its folder before it starts, by their names. */
  readonly files?: Readonly<Record<string, string>>;
  /** Options of tsdask-mpi. */
  readonly options?: readonly string[];
  readonly args?: readonly string[];
  readonly clean?: Clean;
  readonly launcher?: LaunchOptions;
  /** Changes the command before it is started. */
  readonly wrap?: (command: Command) => Command;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts four ranks (scheduler, script, two workers) of a script, by default the busy one with exit code 7. */
export async function launch(
  launcher: Launcher,
  {
    ranks = 4,
    script = busy,
    files = {},
    options = [],
    args = ["7"],
    clean,
    launcher: more,
    wrap = (same) => same,
    env = {},
  }: FaultOptions = {},
): Promise<Launched> {
  await launcher.ready();
  const place = clean ?? nothingLeft();
  for (const [name, content] of Object.entries({ ...files, "script.py": script })) place.write(name, content);
  const words = program(...options, "script.py", ...args);
  const running = start(wrap(launcher.command(ranks, words, more)), {
    folder: place.folder,
    env: { ...place.env, ...env },
    deadline: 60,
  });
  const cast = (): Cast => castOf(place, running.pid, launcher.name);
  const find = async (part: Part): Promise<number> => {
    const until = performance.now() + 10_000;
    for (;;) {
      const pid = partOf(cast(), part);
      if (pid !== undefined) return pid;
      if (performance.now() > until)
        throw new Error(
          `No process that is the ${part} among:\n${place.left().join("\n")}\n${tell({ stdout: running.stdout(), stderr: running.stderr() })}`,
        );
      await sleep(5);
    }
  };
  return {
    clean: place,
    running,
    cast,
    find,
    kill: async (part) => signalAll([await find(part)], "SIGKILL"),
    ends: async (seconds = endsWithin) => {
      const began = performance.now();
      const late = new Promise<never>((_, reject) => {
        setTimeout(
          () =>
            reject(
              new Error(
                `It still runs after ${seconds} s:\n${place.left().join("\n")}\n${tell({ stdout: running.stdout(), stderr: running.stderr() })}`,
              ),
            ),
          seconds * 1000,
        ).unref();
      });
      const finished = await Promise.race([running.finished, late]);
      await place.check(Math.max(1, seconds - (performance.now() - began) / 1000)).catch((error: unknown) => {
        // It is said here, with what the launch wrote: not a second time at the end.
        signalAll(
          place.processes().map(({ pid }) => pid),
          "SIGKILL",
        );
        place.allow(/./);
        throw new Error(`${String(error)}\n${tell(finished)}`);
      });
      expect(finished.stderr, "a stack trace of ours").not.toMatch(/^ +at .+:\d+:\d+\)?$|File ".*tsdask_mpi.*", line/m);
      return finished;
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      if (clean === undefined) await place[Symbol.asyncDispose]();
    },
  };
}

/** Lets the busy script end. */
export function letGo({ clean }: Launched): void {
  clean.write("go", "");
}

/**
 * Whether this launcher ends a step's processes all at once with SIGKILL, those that would clean up included: files stay then,
 * and the next launch in the same folder removes them.
 */
export function killsAll({ name }: Launcher): boolean {
  return name.startsWith("srun");
}

/**
 * Waits for the launcher's end and until no process is left. Files may be left where rank 0 was killed with everybody who cleans
 * up after it, or in its first moments, when nobody does yet: then a short launch in the same folder removes them.
 */
export async function endsOrIsSwept({ clean, running }: Launched, launcher: Launcher): Promise<Finished> {
  const until = performance.now() + endsWithin * 1000;
  let over: Finished | undefined;
  void running.finished.then((finished) => {
    over = finished;
  });
  while (over === undefined || clean.processes().length > 0) {
    if (performance.now() > until)
      throw new Error(
        `Left after ${endsWithin} s:\n${clean.left().join("\n")}\n${tell({ stdout: running.stdout(), stderr: running.stderr() })}`,
      );
    await sleep(20);
  }
  const finished = over;
  if (clean.left().length === 0) return finished;
  const old = new Date(Date.now() - 7_200_000);
  for (const base of readdirSync(clean.tmp).filter((name) => name.startsWith("tsdask-"))) {
    for (const name of readdirSync(join(clean.tmp, base))) utimesSync(join(clean.tmp, base, name), old, old);
  }
  for (const name of readdirSync(clean.folder).filter((name) => name.startsWith(".tsdask-")))
    utimesSync(join(clean.folder, name), old, old);
  clean.write("next.py", "");
  const next = await run(launcher.command(4, program("next.py")), { folder: clean.folder, env: clean.env });
  expect(next.code, tell(next)).toBe(0);
  await clean.check().catch((error: unknown) => {
    clean.allow(/./);
    throw new Error(`${String(error)}\n${tell(finished)}`);
  });
  return finished;
}

/** Every message of ours on stderr, by its code; that Debian's Dask comes without Bokeh (TSD-158) is no fault of a launch. */
export function codes({ stderr }: { readonly stderr: string }): string[] {
  return [...new Set(stderr.match(/TSD-\d{3}/g) ?? [])].filter((code) => code !== "TSD-158");
}

/** What a message must have: its code, and a line each for cause and cure. */
export function message(code: string): RegExp {
  return new RegExp(`tsdask-mpi: ${code} .+\\n.*cause: .+\\n.*cure: .+`);
}

function partOf(cast: Cast, part: Part): number | undefined {
  switch (part) {
    case "scheduler":
      return cast.scheduler;
    case "worker":
      return cast.workers.at(-1);
    case "worker's rank":
      return cast.ranks.get(3);
    case "client's rank":
      return cast.ranks.get(1);
    case "rank 0":
      return cast.ranks.get(0);
    case "script":
      return cast.script;
    case "fork server":
      return cast.forkServer;
    case "launcher":
      return cast.launcher;
  }
}

/** A rank is a Node, or stays the shell that starts one. */
function isRank([program = "", file = "", ...words]: readonly string[]): boolean {
  return (
    [file, ...words].some((word) => word.endsWith("/dist/main.js")) ||
    (program.endsWith("sh") && file.endsWith("/bin/tsdask-mpi"))
  );
}

function castOf(clean: Clean, launcher: number, name: BedLauncher): Cast {
  const all = clean.processes();
  const ranks = new Map<number, number>();
  for (const { pid, arguments: words } of all) {
    if (!isRank(words)) continue;
    const rank = rankOf(environmentOf(pid));
    if (rank !== undefined) ranks.set(rank, pid);
  }
  const python = ({ arguments: words }: Process, file: string): boolean =>
    (words[0] ?? "").includes("python") && words.some((word) => word.endsWith(file));
  const engines = all.filter((one) => python(one, "tsdask_mpi/forkserver.py") || python(one, "tsdask_mpi/child.py"));
  const pids = new Set(engines.map(({ pid }) => pid));
  const server = engines.find((one) => !pids.has(one.ppid) && python(one, "forkserver.py"))?.pid;
  const children = engines.filter(({ ppid }) => ppid === server).sort((a, b) => a.pid - b.pid);
  const port = schedulerPort(join(clean.folder, "scheduler.json"));
  // Before scheduler.json is there: the scheduler is forked first.
  const scheduler =
    port === undefined
      ? children[0]?.pid
      : children.find(({ pid }) => listeners([pid]).some((one) => one.port === port))?.pid;
  return {
    launcher: isAlive(launcher) ? launcher : undefined,
    ranks: name === "local" ? new Map([...ranks].filter(([, pid]) => pid !== launcher)) : ranks,
    forkServer: server,
    scheduler,
    workers: children.filter(({ pid }) => pid !== scheduler).map(({ pid }) => pid),
    script: all.find((one) => python(one, "script.py") && !one.arguments.some((word) => word.endsWith("main.js")))?.pid,
  };
}

function rankOf(env: ReadonlyMap<string, string>): number | undefined {
  for (const name of ["TSDASK_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"]) {
    const value = env.get(name);
    if (value !== undefined) return Number(value);
  }
  return undefined;
}

function schedulerPort(path: string): number | undefined {
  try {
    const { address } = JSON.parse(readFileSync(path, "utf8")) as { address: string };
    return Number(/:(\d+)$/.exec(address)?.[1]);
  } catch {
    return undefined; // Not there yet.
  }
}
