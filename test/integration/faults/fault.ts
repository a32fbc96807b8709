import { availableParallelism, loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { deadlines } from "../../../src/deadlines.ts";
import type { Command } from "../bed/command.ts";
import { availableLaunchers, type Launcher, type LaunchOptions } from "../bed/launchers.ts";
import { type Clean, nothingLeft } from "../bed/left.ts";
import { signalAll } from "../bed/processes.ts";
import { type Finished, type Running, start, tell } from "../bed/run.ts";
import { program } from "../launch.ts";
import { type Cast, castOf, type Part, partOf } from "./cast.ts";
import { nextLaunch } from "./sweep.ts";

/** The launchers that the table of faults is run under: each treats signals and exit codes in its own way. */
export const faultLaunchers: readonly Launcher[] = availableLaunchers("openmpi4", "mpich4", "srun-pmi2", "local");

/**
 * Whatever goes wrong, a launch that does not go on has ended after so long (s): ten seconds, of which two are usual,
 * its start included, and as many more for each process that waits for a processor of this machine.
 */
export const endsWithin = (): number => Math.min(100, 10 * (1 + (loadavg()[0] ?? 0) / availableParallelism()));

/** Whether a launch goes on under this launcher when one of its ranks is killed: mpirun ends all of them. */
export function survivesAKilledRank({ name }: Launcher): boolean {
  return name === "local" || name.startsWith("srun");
}

/**
 * A script that keeps all workers busy. It says `running`, then `workers N` whenever they are others than before, and
 * ends with its first argument as exit code once the file `go` is there.
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
    round, workers = 0, []
    while not os.path.exists("go"):
        numbers = list(range(round * 8, round * 8 + 8))
        assert client.gather(client.map(slow, numbers)) == numbers
        round += 1
        if round == 2:
            print("running", flush=True)
        if round > 1 and list(client.ncores()) != workers:
            workers = list(client.ncores())
            print("workers", len(workers), flush=True)
    sys.exit(int(sys.argv[1]))
`;

/** A launch that a test harms, with all that it takes to see what comes of it. */
export interface Launched extends AsyncDisposable {
  readonly clean: Clean;
  readonly running: Running;
  readonly cast: () => Cast;
  /** The process of a part, as soon as it is there; throws when it is not within 100 s. */
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
  });
  const cast = (): Cast => castOf(place, running.pid, launcher.name);
  const find = async (part: Part): Promise<number> => {
    const until = performance.now() + 100_000;
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
    ends: async (seconds = endsWithin()) => {
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
      await place.check(Math.max(20, seconds - (performance.now() - began) / 1000)).catch((error: unknown) => {
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

/** For launches that end by themselves, whatever their code is: no launcher has a rank to end. */
export const endsItself: FaultOptions = { launcher: { endsItself: true } };

/** Lets the busy script end. */
export function letGo({ clean }: Launched): void {
  clean.write("go", "");
}

/**
 * Whether this launcher ends a step's processes all at once with SIGKILL, those that would clean up included: files
 * stay then, and the next launch in the same folder removes them.
 */
export function killsAll({ name }: Launcher): boolean {
  return name.startsWith("srun");
}

/**
 * Waits for the launcher's end and until no process is left. Files may be left where rank 0 was killed with everybody
 * who cleans up after it, or in its first moments, when nobody does yet: then a short launch in the same folder removes
 * them.
 */
export async function endsOrIsSwept({ clean, running }: Launched, launcher: Launcher): Promise<Finished> {
  // A rank that was killed before it met its agent is waited for, where nobody tells that it comes no more.
  const seconds = endsWithin() + deadlines.lateShells / 1000;
  const until = performance.now() + seconds * 1000;
  let over: Finished | undefined;
  void running.finished.then((finished) => {
    over = finished;
  });
  while (over === undefined || clean.processes().length > 0) {
    if (performance.now() > until)
      throw new Error(
        `Left after ${seconds} s:\n${clean.left().join("\n")}\n${tell({ stdout: running.stdout(), stderr: running.stderr() })}`,
      );
    await sleep(20);
  }
  const finished = over;
  if (clean.left().length === 0) return finished;
  const next = await nextLaunch(clean, launcher);
  expect(next.code, tell(next)).toBe(0);
  await clean.check().catch((error: unknown) => {
    clean.allow(/./);
    throw new Error(`${String(error)}\n${tell(finished)}`);
  });
  return finished;
}

/**
 * Every message of ours on stderr, by its code; that Debian's Dask comes without Bokeh (TSD-158) is no fault of a
 * launch.
 */
export function codes({ stderr }: { readonly stderr: string }): string[] {
  return [...new Set(stderr.match(/TSD-\d{3}/g) ?? [])].filter((code) => code !== "TSD-158");
}

/** What a message must have: its code, and a line each for cause and cure. */
export function message(code: string): RegExp {
  return new RegExp(`tsdask-mpi: ${code} .+\\n.*cause: .+\\n.*cure: .+`);
}
