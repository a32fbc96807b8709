import { constants, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { describeJob, namedJob } from "../batch/job.ts";
import type { OptionKey, Options, Sources } from "../config/options.ts";
import { sourceName } from "../config/resolve.ts";
import { kebab } from "../config/option-names.ts";
import { optionKeys } from "../config/table.ts";
import { VERSION } from "../config/version.ts";
import type { World } from "../launcher/world.ts";
import { launcherTitle } from "../launcher/known.ts";
import { recordName, type LaunchHead, type RecordEvent, type RecordLine } from "../report/lines.ts";
import { systemCode } from "../security/file-problems.ts";
import { appendTo, type Appended } from "../ui/append.ts";
import { bytesText } from "../ui/format.ts";
import { redact } from "../ui/redact.ts";
import type { Plan } from "./plan.ts";
import { endOfTime, whatRuns } from "./register-launch.ts";
import type { HostState, LaunchEvent } from "./state.ts";

/** The record is opened with the log (ms after the start), when nothing else is in a hurry. */
const openAfter = 1_500;
/** What has come is written this often (ms), many lines at once: a network's file system counts every write. */
const writeEvery = 500;
/** The most bytes that one record takes; samples grow rare long before. */
const mostBytes = 8_000_000;

export interface RecordWriter {
  readonly add: (event: RecordEvent) => void;
  /** Has everything on disk when it resolves, where that can be. Never rejects. */
  readonly flush: () => Promise<void>;
  /** With `keep`, or where it is on disk already, the last lines are, too. Never rejects. */
  readonly close: (how: { readonly keep: boolean }) => Promise<void>;
}

/**
 * Writes the record of a launch, JSON lines of mode 0600 in `folder()`, in this process and not in the scheduler's:
 * what ended the scheduler is in it. Where it cannot be written there is none, which is no reason to stop.
 */
export function openRecord(folder: () => string, now: () => number = Date.now): RecordWriter {
  let waiting: string[] = [];
  let room = mostBytes;
  let file: Appended | undefined;
  let broken = false;
  const write = (): void => {
    if (broken || waiting.length === 0) return;
    try {
      file ??= appendTo(open(folder()));
      file.append(waiting.join(""));
    } catch {
      // A full disk, or a home that is not there: the log's own warning (TSD-146) has told of it.
      broken = true;
    }
    waiting = [];
  };
  let timer = setTimeout(() => {
    write();
    timer = setInterval(write, writeEvery).unref();
  }, openAfter).unref();
  const line = (event: RecordEvent): void => {
    const text = `${JSON.stringify({ at: now(), ...event } satisfies RecordLine)}\n`;
    room -= text.length;
    waiting.push(text);
  };
  return {
    add: (event) => {
      if (room < 0 && event.k !== "end") return;
      line(event);
      if (room < 0 && event.k !== "end") line({ k: "full" });
    },
    flush: async () => {
      write();
      await file?.written();
    },
    close: async ({ keep }) => {
      clearTimeout(timer);
      if (keep || file !== undefined) write();
      broken = true;
      await file?.close();
    },
  };
}

function open(folder: string): number {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
  return openSync(join(folder, recordName), flags, 0o600);
}

/** What an event of the launch is in its record; undefined for what is not kept. Pure. */
export function recordOf(event: LaunchEvent, hosts: readonly HostState[]): RecordEvent | undefined {
  switch (event.e) {
    case "host-joined":
      return { k: "ranks", host: event.name, ranks: [event.rank] };
    case "ranks":
      return { k: "ranks", host: hosts[event.host]?.name ?? "?", ranks: event.ranks };
    case "rank-gone":
      return undefined;
    case "signal":
      return { k: "signal", signal: event.signal };
    case "leave":
      return { k: "leave" };
    case "rank-event":
      return ofRank(event, hosts[event.host]?.name ?? "?");
    default:
      return undefined;
  }
}

function ofRank(
  { rank, event }: Extract<LaunchEvent, { readonly e: "rank-event" }>,
  host: string,
): RecordEvent | undefined {
  switch (event.k) {
    case "scheduler-ready":
      return { k: "scheduler", host, address: event.address };
    case "worker-ready": {
      const { name, nthreads: threads, memoryLimit: limit, ages } = event;
      return { k: "worker", rank, host, name, threads, limit, ...(ages === undefined ? {} : { ages }) };
    }
    case "worker-lost":
      return {
        ...{ k: "lost", rank, host, why: event.why, restarting: event.restarting },
        ...(event.cause === undefined ? {} : { cause: event.cause }),
      };
    case "worker-away":
      return { k: "away", rank, host, why: event.why };
    case "client-started":
      return { k: "script", host };
    case "client-exit": {
      const { code, signal } = event;
      return { k: "script-over", code, ...(signal === undefined ? {} : { signal }) };
    }
    case "signal":
      return { k: "signal", signal: event.signal };
    default:
      return undefined;
  }
}

/** What a launch is, for the head of its record. */
export function recordHead(launch: {
  readonly name: string;
  readonly launch: string;
  readonly started: number;
  readonly host: string;
  readonly world: World;
  readonly plan: Plan;
  readonly options: Options;
  readonly sources: Sources;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly python: string;
}): LaunchHead {
  const { options, plan, env, world, sources } = launch;
  const { name, launch: id, started, host, cwd, python } = launch;
  const job = describeJob(env);
  const ends = endOfTime(options, job, started / 1000);
  const script = whatRuns(options);
  return {
    format: 1,
    ...{ name, launch: id, started, host, cwd, python },
    version: VERSION,
    launcher: launcherTitle(world.launcher),
    size: world.size,
    ...(plan.schedulerRank === undefined ? {} : { schedulerRank: plan.schedulerRank }),
    ...(plan.clientRank === undefined ? {} : { clientRank: plan.clientRank }),
    workerRanks: plan.workerRanks,
    ...(script === undefined ? {} : { script }),
    options: optionKeys.flatMap((key) =>
      sources[key].kind === "default" || key.startsWith("tls") || key === "launchId"
        ? []
        : [[kebab(key), valueText(key, options), sourceName(sources[key])] as const],
    ),
    job: namedJob(job),
    ...(job.startTime === undefined ? {} : { jobStarted: job.startTime }),
    ...(ends === undefined ? {} : { ends }),
  };
}

/** An option's value in one line; what sounds like a secret is hidden. */
function valueText(key: OptionKey, options: Options): string {
  const { memoryLimit } = options;
  if (key === "memoryLimit" && memoryLimit.kind !== "auto")
    return memoryLimit.kind === "bytes"
      ? bytesText(memoryLimit.bytes)
      : memoryLimit.kind === "none"
        ? "none"
        : `${memoryLimit.fraction} of the host's`;
  const value = redact({ [key]: options[key as keyof Options] }) as Readonly<Record<string, unknown>>;
  const shown = value[key];
  return typeof shown === "string" ? shown : (JSON.stringify(shown) ?? "");
}
