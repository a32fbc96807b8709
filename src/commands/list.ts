import { visible, visibleLine } from "../errors/visible.ts";
import { listClusters, type Listed } from "../registry/find.ts";
import { durationText } from "../ui/format.ts";
import { hostList } from "../ui/ranges.ts";
import type { CommandContext } from "./context.ts";
import { readSmallCommand, type SmallCommand } from "./small-command.ts";

export const COMMAND: SmallCommand = {
  name: "tsdask-mpi list",
  usage: "[--json]",
  about: `Shows your clusters, of all folders and hosts that share this home folder: those that run, start or wait in a batch
system, and those that ended in the last week. Each is asked whether it is there.`,
  options: [{ flags: "--json", help: "the same as JSON" }],
};

/** Ended clusters that the table shows; JSON has all. */
const mostEnded = 10;

/**
 * `tsdask-mpi list`: the user's clusters as a table or JSON; resolves to the exit code, 0. Throws TSD-006 and TSD-008
 * for wrong words.
 */
export async function listCommand(argv: readonly string[], { env, stdout, stderr }: CommandContext): Promise<number> {
  const { help, options } = readSmallCommand(COMMAND, argv);
  if (help !== undefined) {
    stdout.write(help);
    return 0;
  }
  const clusters = await listClusters(env);
  if (options["json"] === true) {
    stdout.write(`${visible(JSON.stringify(clusters.map(asJson), null, 2))}\n`);
    return 0;
  }
  if (clusters.length === 0) {
    stderr.write("no cluster of yours runs here, and none has ended in the last week\n");
    return 0;
  }
  const live = clusters.filter(({ state }) => state !== "ended");
  const ended = clusters.filter(({ state }) => state === "ended");
  const { tableText } = await import("../ui/table.ts");
  const now = Date.now() / 1000;
  const rows = [...live, ...ended.slice(0, mostEnded)].map((one) => row(one, now));
  stdout.write(tableText(["NAME", "STATE", "JOB", "HOSTS", "WORKERS", "AGE", "LEFT", "FOLDER"], rows));
  if (ended.length > mostEnded)
    stdout.write(`and ${ended.length - mostEnded} more that ended earlier (--json has all)\n`);
  return 0;
}

function row(one: Listed, now: number): readonly string[] {
  const { entry, state, why } = one;
  const over = state === "ended";
  const note = why === undefined || state === "running" ? state : `${state}: ${why}`;
  return [
    entry.name,
    note,
    jobText(entry.job),
    state === "pending" ? "" : hostList(entry.hosts, 3),
    over || state === "pending" ? "" : workersText(one),
    over ? `${durationText(now - (entry.ended ?? entry.started))} ago` : durationText(now - entry.started),
    leftText(one, now),
    entry.cwd,
  ].map(visibleLine);
}

/** Until its job's time is over; `-` where it has no limit, or nobody tells. */
function leftText({ state, ends }: Listed, now: number): string {
  if (state === "ended" || state === "pending") return "";
  return ends === undefined ? "-" : durationText(ends - now);
}

/** The workers that are in, of those that it was started with. */
export function workersText({ entry, identity }: Listed): string {
  const seen = identity === undefined ? "?" : String(Object.keys(identity.workers).length);
  // More than it was started with are there by scale, adapt or other jobs.
  return Number(seen) >= entry.workers ? seen : `${seen} of ${entry.workers}`;
}

/** `slurm 4711`; `-` outside of a batch system. */
export function jobText({ system, id }: Listed["entry"]["job"]): string {
  return id === undefined || system === "local" ? "-" : `${system} ${id}`;
}

/** A cluster for programs; times are seconds since 1970, null for what is not known. */
export function asJson({ entry, state, why, identity, ends }: Listed): Readonly<Record<string, unknown>> {
  const workers = identity === undefined ? undefined : Object.values(identity.workers);
  return {
    name: entry.name,
    state,
    why: why ?? null,
    exit_code: entry.code ?? null,
    launch: entry.launch,
    job: entry.job.id === undefined ? null : { system: entry.job.system, id: entry.job.id },
    host: entry.host,
    hosts: entry.hosts,
    ranks: entry.ranks,
    workers: workers?.length ?? null,
    workers_started: entry.workers,
    threads: workers?.reduce((sum, { nthreads }) => sum + (nthreads ?? 0), 0) ?? null,
    started: entry.started,
    ended: entry.ended ?? null,
    ends: ends ?? null,
    script: entry.script ?? null,
    folder: entry.cwd,
    scheduler_file: state === "ended" ? null : (entry.schedulerFile ?? null),
    address: state === "ended" ? null : (entry.scheduler?.address ?? null),
    public: entry.public ?? null,
    log: entry.log ?? null,
    version: entry.version,
  };
}
