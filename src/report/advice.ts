import { bytesText, durationText } from "../ui/format.ts";
import { count } from "../ui/ranges.ts";
import type { LaunchHead, RecordLine } from "./lines.ts";
import type { Course } from "./workers.ts";

type End = Extract<RecordLine, { readonly k: "end" }>;

/** What a launch had and used. Core-hours count threads, which by default are the cores. */
export interface Used {
  /** Seconds from the first process to the end, or to the last that is known. */
  readonly seconds: number;
  readonly threads: number;
  /**
   * Core-hours that there were, that the processor worked, and in which no task ran; undefined where nobody has told.
   */
  readonly had: number | undefined;
  readonly worked: number | undefined;
  readonly idle: number | undefined;
  /** Bytes. */
  readonly mostMemory: number;
  readonly limit: number;
  /** How often a worker was lost, how often for want of memory, and how often it was killed from outside. */
  readonly lost: number;
  readonly lostForMemory: number;
  readonly killed: number;
}

/** Who was killed with less than this part of the limit ever seen in a worker was hardly killed for that limit. */
const full = 0.5;
/**
 * Nobody is told to ask for less than this for a worker (bytes): it holds Dask and its libraries, and one task more
 * than this time.
 */
const least = 2 ** 30;

/** Sums up what the launch had and used. Pure. */
export function usedBy(head: LaunchHead, lines: readonly RecordLine[], course: Course, end: End | undefined): Used {
  const lastAt = lines.at(-1)?.at ?? head.started;
  const losses = lines.filter((line) => line.k === "lost");
  const workers = new Map(lines.flatMap((line) => (line.k === "worker" ? [[line.rank, line] as const] : [])));
  const all = [...workers.values()];
  const worked = end?.usage?.worked;
  const fullest = course.workers.reduce((most, { mostMemory }) => Math.max(most, mostMemory), worked?.peak ?? 0);
  const hours = (seconds: number | undefined): number | undefined =>
    seconds === undefined ? undefined : seconds / 3600;
  return {
    seconds: Math.max(0, (lastAt - head.started) / 1000),
    threads: all.reduce((sum, { threads }) => sum + threads, 0),
    had: hours(worked?.threadSeconds ?? threadSeconds(all, lastAt)),
    worked: hours(worked?.cpu ?? sampledSeconds(course)),
    idle: hours(course.idle),
    mostMemory: fullest,
    limit: Math.max(0, ...all.map(({ limit }) => limit)),
    lost: losses.length,
    lostForMemory: losses.filter(({ cause }) => cause === "memory").length,
    killed: losses.filter(({ cause }) => cause === "killed").length,
  };
}

/** Threads × time since each worker's first registration. */
function threadSeconds(
  workers: readonly { readonly at: number; readonly threads: number }[],
  until: number,
): number | undefined {
  if (workers.length === 0) return undefined;
  return workers.reduce((sum, { at, threads }) => sum + (threads * Math.max(0, until - at)) / 1000, 0);
}

/** Seconds of processor by the samples alone: what is left of a launch that was killed. */
function sampledSeconds({ times, workers }: Course): number | undefined {
  if (times.length < 2) return undefined;
  return workers.reduce(
    (sum, { at }) =>
      sum +
      at.reduce((inner, one, index) => {
        const next = times[index + 1];
        return one === undefined || next === undefined
          ? inner
          : inner + ((one[1] / 100) * (next - (times[index] ?? 0))) / 1000;
      }, 0),
    0,
  );
}

/** What to ask for next time, one sentence each: workers, memory, time. Pure. */
export function advice(head: LaunchHead, used: Used, end: End | undefined): readonly string[] {
  return [...ofWorkers(head, used), ...ofMemory(used), ...ofTime(head, used, end)];
}

/** Threads that have had tasks for this part of the time are not too many, however little the processor did. */
const busy = 0.6;

/** Nothing where workers were lost: what they did not do says little. */
function ofWorkers({ workerRanks }: LaunchHead, { had, worked, idle, seconds, lost }: Used): readonly string[] {
  if (lost > 0) return [];
  if (had === undefined || worked === undefined || had === 0 || seconds < 30) return [];
  const share = worked / had;
  const many = workerRanks.length;
  if (share > 0.8)
    return [`Workers: ${percent(share)} of the processor was used; more workers would probably make it quicker.`];
  if (share > 0.4) return [];
  const occupied = idle === undefined ? 0 : 1 - idle / had;
  if (occupied > busy)
    return [
      `Workers: their threads had tasks ${percent(occupied)} of the time, but the processor worked ${percent(share)} of it: tasks wait, for files, for the network or for Python's lock. More threads for each worker (--nthreads) than it has cores would do as much with fewer cores.`,
    ];
  if (many === 1) return [];
  const enough = Math.max(1, Math.ceil((many * share) / 0.7));
  if (enough >= many) return [];
  return [
    `Workers: ${percent(share)} of the processor was used; about ${count(enough, "worker")} in place of ${many} would probably do as much, where they have memory enough, or more tasks at once would use them.`,
  ];
}

function ofMemory({ mostMemory, limit, lostForMemory, killed, seconds }: Used): readonly string[] {
  if (lostForMemory === 0 && killed > 0 && limit > 0 && mostMemory < full * limit)
    return [
      `Memory: a worker was killed (SIGKILL), but none was seen with more than ${bytesText(mostMemory)} of its ${bytesText(limit)}. A task took it within seconds, something else filled the host, or somebody killed it: \`dmesg | grep -i oom\` there tells, and the batch system's accounting.`,
    ];
  if (lostForMemory + killed > 0)
    return [
      limit > 0
        ? `Memory: workers died of it at ${bytesText(limit)} each. Ask for twice that (${bytesText(2 * limit)}) per worker, by more memory or fewer workers per host, or make partitions and chunks half as large.`
        : "Memory: workers died of it. Ask for more per worker, or make partitions and chunks smaller.",
    ];
  if (limit === 0 || mostMemory === 0 || seconds < 30) return [];
  const share = mostMemory / limit;
  const enough = Math.max(least, rounded(mostMemory * 1.5));
  if (share > 0.8)
    return [`Memory: the fullest worker had ${percent(share)} of its ${bytesText(limit)}; ask for more.`];
  if (share > 0.4 || enough >= limit) return [];
  return [
    `Memory: the fullest worker had ${bytesText(mostMemory)} of ${bytesText(limit)}; ${bytesText(enough)} per worker would be enough.`,
  ];
}

/** A job may have done other things before its launch: where its start is not known, nothing is said of its time. */
function ofTime({ ends, jobStarted, started }: LaunchHead, { seconds }: Used, end: End | undefined): readonly string[] {
  if (end === undefined) return [];
  if (end.ending === "walltime")
    return [`Time: it ran out after ${durationText(seconds)}. Ask for more, or have the script save where it is.`];
  if (ends === undefined || jobStarted === undefined || end.code !== 0) return [];
  const walltime = ends - jobStarted;
  const before = Math.max(0, started / 1000 - jobStarted);
  const enough = before + Math.max(60, seconds * 1.3);
  if (walltime < enough * 1.2) return [];
  const earlier = before < 60 ? "" : `, ${durationText(before)} after the job's start,`;
  return [
    `Time: it took ${durationText(seconds)}${earlier} of the job's ${durationText(walltime)}; with ${durationText(Math.ceil(enough / 60) * 60)} the job would start sooner, if nothing comes after it.`,
  ];
}

const percent = (share: number): string => `${share < 0.01 ? "under 1" : Math.round(100 * share)} %`;

/** Up to the next half GiB. */
function rounded(bytes: number): number {
  return Math.ceil(bytes / 2 ** 29) * 2 ** 29;
}

/** Core-hours as people say them. */
export function hoursText(hours: number | undefined): string {
  if (hours === undefined) return "not known";
  if (hours < 0.05) return `${Math.round(hours * 36_000) / 10} core-seconds`;
  return `${hours < 10 ? hours.toFixed(2) : Math.round(hours)} core-hours`;
}
