import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { sameJob } from "../batch/same-job.ts";
import { BadValue, duration, integer, show } from "../config/values.ts";
import { Failure } from "../errors/failure.ts";
import { visibleLine } from "../errors/visible.ts";
import { processOf } from "../registry/ask.ts";
import type { ClusterEntry } from "../registry/cluster-entry.ts";
import { readEntry } from "../registry/entry.ts";
import { listClusters, type Listed } from "../registry/find.ts";
import { logFiles, readFrom, readLogs, type LogFilter, type LogLine } from "../registry/log-files.ts";
import { targetOf } from "../registry/target.ts";
import { hasNoLaunch } from "../registry/write.ts";
import { homeFolder } from "../security/user.ts";
import { wantsColour } from "../ui/failure-text.ts";
import type { CommandContext } from "./context.ts";
import { readSmallCommand, type SmallCommand, type SmallLine } from "./small-command.ts";

export const COMMAND: SmallCommand = {
  name: "tsdask-mpi logs",
  usage: "[options] [name | scheduler.json]",
  about: `Shows what a launch and its Dask processes said, in the order of time; for a week also after its end, however it ended.
Without a name or a file: the cluster of this folder, else the only one that runs. What the script prints is not among it.`,
  options: [
    { flags: "--rank <n>", help: "only this rank's" },
    { flags: "--host <name>", help: "only this host's" },
    { flags: "--scheduler", help: "only those of the scheduler's rank" },
    { flags: "--worker <name>", help: "only this worker's (tsdask-3, or its address)" },
    { flags: "--since <time>", help: "only the last 10m, 1h30m, …" },
    { flags: "--follow", help: "go on showing what comes, until the cluster has ended" },
    { flags: "--json", help: "JSON lines, as the files have them" },
  ],
};

/**
 * How often (ms) the files are looked at while they are followed, and how often a cluster is asked for whose process is
 * not one of this machine.
 */
const followEvery = 300;
const askEvery = 3_000;

/**
 * `tsdask-mpi logs`: a launch's log; resolves to the exit code, 0. Throws TSD-003, TSD-006 and TSD-008 (wrong words),
 * TSD-147 and TSD-148 (no such cluster, or several), TSD-149 (it has left no log).
 */
export async function logsCommand(argv: readonly string[], context: CommandContext): Promise<number> {
  const { stdout, stderr, env } = context;
  const line = readSmallCommand(COMMAND, argv);
  if (line.help !== undefined) {
    stdout.write(line.help);
    return 0;
  }
  const { listed, schedulerFile } = await targetOf(line.words[0], context);
  if (listed === undefined)
    throw new Failure("TSD-149", {
      name: schedulerFile,
      why: "it is not in your list of clusters, which says where its logs are",
    });
  const { entry } = listed;
  const wanted = await filterOf(line, listed, context);
  const { lines, read } = await readLogs(await filesOf(entry), wanted);
  if (read.size === 0 && listed.state === "ended")
    throw new Failure("TSD-149", {
      name: entry.name,
      why: `${listed.why ?? "it has ended"}, and it has left no log: it ended well within two seconds, or its logs were older than a week`,
    });
  const colour = wantsColour({ tty: process.stdout.isTTY === true, noColor: env["NO_COLOR"] });
  const print = (some: readonly LogLine[]): void => {
    const text = some.map((one) => (line.options["json"] === true ? JSON.stringify(one) : lineText(one, colour)));
    if (text.length > 0) stdout.write(`${text.join("\n")}\n`);
  };
  print(lines);
  if (line.options["follow"] !== true) {
    if (lines.length === 0) stderr.write("nothing of that is in the log\n");
    return 0;
  }
  const last = await follow(listed, wanted, { read, print, line, context });
  stderr.write(`tsdask-mpi: ${visibleLine(last.entry.name)} has ended.\n`);
  return 0;
}

/** The files of a cluster's log: those that are kept, else those of its folder. */
async function filesOf(entry: ClusterEntry): Promise<readonly string[]> {
  // A job that no launch has taken yet has no folder of its own, and what lies where it was submitted is its user's.
  if (hasNoLaunch(entry)) return [];
  const kept = await logFiles(entry.log ?? "", entry.launch);
  return kept.length > 0 ? kept : logFiles(join(entry.folder, "log"), entry.launch);
}

interface Following {
  /** How far (bytes) each file was read. */
  readonly read: ReadonlyMap<string, number>;
  readonly print: (lines: readonly LogLine[]) => void;
  readonly line: SmallLine;
  readonly context: CommandContext;
}

/**
 * Prints what comes until the cluster has ended, and resolves to what it was last. Its own process says its end at
 * once, here or in its entry; one that was killed elsewhere says none, and is asked for.
 */
async function follow(listed: Listed, filter: LogFilter, { read, print, line, context }: Following): Promise<Listed> {
  let [now, wanted] = [listed, filter];
  const places = new Map(read);
  let asked = performance.now();
  for (let over = false; ; ) {
    for (const path of await filesOf(now.entry)) {
      const part = await readFrom(path, places.get(path) ?? 0, wanted);
      places.set(path, part.end);
      print(part.lines);
    }
    if (over) return now;
    over = await hasEnded(now);
    if (!over && processOf(now.entry) === undefined && performance.now() - asked > askEvery) {
      const latest = await lookAgain(now, context);
      if (latest.entry.launch !== now.entry.launch)
        wanted = { ...(await filterOf(line, latest, context)), ...since(filter) };
      now = latest;
      over = now.state === "ended";
      asked = performance.now();
    }
    await sleep(followEvery);
  }
}

const since = (filter: LogFilter): Pick<LogFilter, "since"> =>
  filter.since === undefined ? {} : { since: filter.since };

/**
 * The cluster, asked once more; in the place of a job that waited, the launch that has taken it. As it was where it is
 * not in the list any more.
 */
async function lookAgain(one: Listed, { env }: CommandContext): Promise<Listed> {
  const { launch, job } = one.entry;
  const waited = hasNoLaunch(one.entry);
  const found = await listClusters(env, (other) => other.launch === launch || (waited && sameJob(other.job, job)));
  return found.find(({ entry }) => entry.launch !== launch) ?? found[0] ?? one;
}

/** A rank, a host, a time: what the words of the command line ask for. */
async function filterOf(
  { options }: SmallLine,
  { entry, identity }: Listed,
  { env, cwd }: CommandContext,
): Promise<LogFilter> {
  const context = { cwd, home: homeFolder(env), env, variables: false };
  const read = <T>(option: string, reader: (raw: string, at: typeof context) => T): T | undefined => {
    const raw = options[option];
    if (typeof raw !== "string") return undefined;
    try {
      return reader(raw, context);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      throw new Failure(
        "TSD-003",
        {
          option: `--${option}`,
          problem: error.message,
          value: show(raw),
          source: "the command line",
          hint: error.hint,
        },
        { cause: error },
      );
    }
  };
  const since = read("since", duration("positive"));
  const worker = options["worker"];
  const rank =
    options["scheduler"] === true
      ? (entry.scheduler?.rank ?? 0)
      : typeof worker === "string"
        ? rankOfWorker(worker, identity)
        : read("rank", integer(0, 9_999_999));
  const { host } = options;
  return {
    ...(rank === undefined ? {} : { rank }),
    ...(typeof host === "string" ? { host } : {}),
    ...(since === undefined ? {} : { since: Date.now() - since * 1000 }),
  };
}

/** The rank of a worker, which stands at the end of its name; an address is looked up at the scheduler. */
function rankOfWorker(worker: string, identity: Listed["identity"]): number {
  const known = identity?.workers[worker]?.name;
  const rank = /(\d+)$/.exec(String(known ?? (worker.includes("://") ? "" : worker)))?.[1];
  if (rank !== undefined) return Number(rank);
  throw new Failure("TSD-003", {
    option: "--worker",
    problem: "is not the name of a worker, nor the address of one that is in",
    value: show(worker),
    source: "the command line",
    hint: "`tsdask-mpi status --json` lists the workers.",
  });
}

async function hasEnded({ entry, path }: Listed): Promise<boolean> {
  if (entry.state === "ended" || processOf(entry) === false) return true;
  return (await readEntry(path))?.state !== entry.state && (await readEntry(path))?.state === "ended";
}

const tints: Readonly<Record<LogLine["level"], string>> = {
  debug: "\u001b[2m",
  info: "",
  warn: "\u001b[33m",
  error: "\u001b[31m",
};

/** What Dask's log lines begin with, which stands before them already. */
const dasksTime = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - /;

/** `12:00:01.250 h1 rank 3 | text`; further lines of a record stand under its text. */
function lineText({ at, level, text, rank, host, child }: LogLine, colour: boolean): string {
  const when = new Date(at);
  const two = (number: number): string => String(number).padStart(2, "0");
  const time = `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}.${String(when.getMilliseconds()).padStart(3, "0")}`;
  const where = `${host ?? ""} ${child ? `[rank ${rank ?? "?"}]` : `rank ${rank ?? "?"}`}`;
  const said = child ? text.replace(dasksTime, "") : text;
  const plain = stripVTControlCharacters(said).split("\n").map(visibleLine).join("\n    ");
  if (!colour) return `${time} ${where} | ${plain}`;
  return `\u001b[2m${time} ${where} |\u001b[0m ${tints[level]}${plain}${tints[level] === "" ? "" : "\u001b[0m"}`;
}
