import { readFileSync } from "node:fs";
import { join } from "node:path";
import { procStat } from "../../../src/launcher/proc-stat.ts";
import type { BedLauncher } from "../bed/launchers.ts";
import type { Clean } from "../bed/left.ts";
import { environmentOf, isAlive, listeners, type Process } from "../bed/processes.ts";

/** The processes of a launch by what they do; those that are not there (yet) are undefined. */
export interface Cast {
  readonly launcher: number | undefined;
  /** Rank processes by their rank. */
  readonly ranks: ReadonlyMap<number, number>;
  /** Where there are several hosts, the scheduler's. */
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

/** The process of a part. */
export function partOf(cast: Cast, part: Part): number | undefined {
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

/** Who is who in the launch of this place. */
export function castOf(clean: Clean, launcher: number, name: BedLauncher): Cast {
  const all = clean.processes();
  const ofRanks = new Map(all.filter(({ arguments: words }) => isRank(words)).map((one) => [one.pid, one]));
  const ranks = new Map<number, number>();
  for (const { pid, ppid } of ofRanks.values()) {
    const rank = rankOf(environmentOf(pid));
    // What a shell has forked looks as the shell does until its exec.
    const forked = ofRanks.has(ppid) && rankOf(environmentOf(ppid)) === rank;
    if (rank !== undefined && !forked) ranks.set(rank, pid);
  }
  const python = ({ arguments: words }: Process, file: string): boolean =>
    (words[0] ?? "").includes("python") && words.some((word) => word.endsWith(file));
  const engines = all.filter((one) => python(one, "tsdask_mpi/forkserver.py") || python(one, "tsdask_mpi/child.py"));
  const pids = new Set(engines.map(({ pid }) => pid));
  // Each host has one.
  const servers = engines.filter((one) => !pids.has(one.ppid) && python(one, "forkserver.py"));
  const children = engines.filter(({ ppid }) => servers.some(({ pid }) => pid === ppid)).sort(byStart);
  const port = schedulerPort(join(clean.folder, "scheduler.json"));
  // Before scheduler.json is there: the scheduler is forked first.
  const scheduler =
    port === undefined ? children[0] : children.find(({ pid }) => listeners([pid]).some((one) => one.port === port));
  return {
    launcher: isAlive(launcher) ? launcher : undefined,
    ranks: name === "local" ? new Map([...ranks].filter(([, pid]) => pid !== launcher)) : ranks,
    forkServer: scheduler?.ppid ?? servers[0]?.pid,
    scheduler: scheduler?.pid,
    workers: children.filter((one) => one !== scheduler).map(({ pid }) => pid),
    script: all.find((one) => python(one, "script.py") && !one.arguments.some((word) => word.endsWith("main.js")))?.pid,
  };
}

/** The older process first: its number says so only until the system's numbers begin anew. */
function byStart(a: Process, b: Process): number {
  const since = ({ pid }: Process): number => Number(procStat(pid)?.start ?? Number.POSITIVE_INFINITY);
  const [first, second] = [since(a), since(b)];
  return first === second ? a.pid - b.pid : first - second;
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
