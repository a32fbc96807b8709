import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { command, isRoot, projectRoot, which, type Command } from "./bed/command.ts";
import type { Clean } from "./bed/left.ts";
import { python } from "./bed/pythons.ts";
import { run, tell, type Finished } from "./bed/run.ts";
import { slurmEnvironment } from "./bed/slurm.ts";

/** Two workers that compute for two seconds of processor time each, and say what they used, in seconds. */
export const computing = `
import os, sys, time
from dask.distributed import Client

def compute(_):
    end = time.thread_time() + 2
    while time.thread_time() < end:
        sum(range(1000))

if __name__ == "__main__":
    client = Client()
    client.wait_for_workers(2)
    client.gather(client.map(compute, range(2), pure=False))
    print("used", sum(client.run(time.process_time).values()), flush=True)
    while not os.path.exists("go"):
        time.sleep(0.05)
    sys.exit(int((sys.argv + ["0"])[1]))
`;

/**
 * A script of `scripts/<system>/` with replacements in its marked lines only; throws when one of them matches nothing
 * there.
 */
export function markedScript(
  system: "slurm" | "pbs",
  name: string,
  edits: readonly (readonly [RegExp, string])[],
): string {
  const text = readFileSync(join(projectRoot, "scripts", system, name), "utf8");
  const [before, block, after] = text.split(/^# --- (?:change from here|to here) ---\n/m);
  if (before === undefined || block === undefined || after === undefined)
    throw new Error(`${name} has no marked lines`);
  const edited = edits.reduce((lines, [pattern, replacement]) => {
    if (!pattern.test(lines)) throw new Error(`${pattern} is not in the marked lines of ${name}`);
    return lines.replace(pattern, replacement);
  }, block);
  return `${before}${edited}${after}`;
}

/**
 * What a batch job needs to find in its environment: our program, the Python to test with, leave for Open MPI to run as
 * root.
 */
export function jobEnvironment(clean: Clean): Record<string, string> {
  const root = isRoot ? { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" } : {};
  const folders = [
    join(projectRoot, "bin"),
    dirname(process.execPath),
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/usr/sbin",
    "/sbin",
  ];
  // The scripts leave ranks nine seconds where nothing is said; Open MPI 4 waits for twice that whenever a script has
  // failed.
  const grace = { OMPI_MCA_odls_base_sigkill_timeout: "1" };
  return {
    ...clean.env,
    ...slurmEnvironment(),
    ...root,
    ...grace,
    PATH: folders.join(":"),
    TSDASK_PYTHON: python().path,
  };
}

/** One of our commands. */
export function ours(...words: string[]): Command {
  return command(join(projectRoot, "bin", "tsdask-mpi"), ...words);
}

/** Submits a script file to Slurm; returns the job's id. */
export async function sbatch(clean: Clean, file: string, ...options: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command("sbatch", "--parsable", ...options, file), {
    folder: clean.folder,
    env: jobEnvironment(clean),
    deadline: 100,
  });
  if (code !== 0) throw new Error(`sbatch: ${stderr}`);
  return stdout.trim();
}

/** The output of a job in the test's folder, as far as it is there. */
export function outputOf(clean: Clean, id: string): string {
  const name = readdirSync(clean.folder).find((file) => new RegExp(`-${id}(_\\d+)?\\.out$`).test(file));
  return name === undefined ? "" : readFileSync(join(clean.folder, name), "utf8");
}

/** What a command said, and what the jobs of the test's folder have written: their side of a failure. */
export function tellWithJobs(clean: Clean, finished: Finished): string {
  const files = readdirSync(clean.folder).filter((file) => /\.out$|\.p?o\d+(\.\d+)?$/.test(file));
  return [
    tell(finished),
    ...files.map((file) => `--- ${file}\n${readFileSync(join(clean.folder, file), "utf8")}`),
  ].join("\n");
}

/**
 * Waits until `look` gives something else than undefined or false; throws with `what` after `seconds`, told at that
 * moment if it is a function.
 */
export async function until<T>(
  what: string | (() => string),
  seconds: number,
  look: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end)
      throw new Error(`Not within ${seconds} s: ${typeof what === "string" ? what : what()}`);
    await sleep(200);
  }
}

/** The programs called mpirun of this machine that a script may be given. */
export const mpiruns: readonly string[] = ["mpirun.openmpi", "mpirun.mpich"].filter(
  (name) => which(name) !== undefined,
);
