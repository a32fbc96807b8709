import type { RecordLine, WorkerSample } from "./lines.ts";
import { mostRows, type HeatRow } from "./charts.ts";
import { bytesText, durationText } from "../ui/format.ts";

type Sample = Extract<RecordLine, { readonly k: "sample" }>;

/** What the samples say of one worker. */
export interface WorkerCourse {
  readonly name: string;
  readonly threads: number;
  /** Bytes; 0: none. */
  readonly limit: number;
  /** For each moment, or undefined where it was not there. */
  readonly at: readonly (WorkerSample | undefined)[];
  readonly mostMemory: number;
  readonly mostSpilled: number;
  /** Processor as a share of its threads, on average while it was there: 0 to 1. */
  readonly busy: number;
}

export interface Course {
  /** Moments in milliseconds since the launch's start. */
  readonly times: readonly number[];
  readonly workers: readonly WorkerCourse[];
  /** Seconds of threads that nothing ran on, by the last sample. */
  readonly idle: number | undefined;
  readonly finished: number | undefined;
}

/** More moments than these are drawn together. */
const mostMoments = 160;

/** Puts the samples together, worker by worker; a long run's are thinned out, the fullest of each moment kept. Pure. */
export function courseOf(started: number, lines: readonly RecordLine[]): Course {
  const all = lines.filter((line): line is Sample => line.k === "sample");
  const groups = grouped(all, Math.ceil(all.length / mostMoments));
  const known = new Map<string, { readonly threads: number; readonly limit: number }>();
  for (const line of lines) if (line.k === "worker") known.set(line.name, line);
  const names = new Set(all.flatMap(({ workers }) => workers.map(([name]) => name)));
  const workers = [...names].map((name): WorkerCourse => {
    const { threads = 1, limit = 0 } = known.get(name) ?? {};
    const at = groups.map((group) => fullest(group, name));
    const seen = at.filter((one) => one !== undefined);
    const most = (index: 2 | 3): number => Math.max(0, ...seen.map((one) => one[index]));
    const cpu = seen.reduce((sum, one) => sum + one[1], 0) / Math.max(1, seen.length);
    return {
      ...{ name, threads, limit, at },
      mostMemory: most(2),
      mostSpilled: most(3),
      busy: cpu / 100 / Math.max(1, threads),
    };
  });
  const last = all.at(-1);
  return {
    times: groups.map(([first]) => Math.max(0, (first?.at ?? 0) - started)),
    workers: workers.toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true })),
    idle: last?.idle,
    finished: last?.finished,
  };
}

function grouped(samples: readonly Sample[], size: number): readonly (readonly Sample[])[] {
  const groups: Sample[][] = [];
  for (let at = 0; at < samples.length; at += Math.max(1, size)) groups.push(samples.slice(at, at + Math.max(1, size)));
  return groups;
}

/** A worker at the moment of a group when it had most in memory; its processor is the group's mean. */
function fullest(group: readonly Sample[], name: string): WorkerSample | undefined {
  const found = group.flatMap(({ workers }) => workers.filter(([one]) => one === name));
  const [first, ...rest] = found;
  if (first === undefined) return undefined;
  const [, , memory, spilled, running] = rest.reduce((most, one) => (one[2] > most[2] ? one : most), first);
  return [name, found.reduce((sum, one) => sum + one[1], 0) / found.length, memory, spilled, running];
}

/**
 * The rows of the drawing of memory: a share of each worker's limit, or of the most that any had where there is none.
 * Pure.
 */
export function memoryRows({ workers }: Course): readonly HeatRow[] {
  const most = Math.max(1, ...workers.map(({ mostMemory }) => mostMemory));
  return chosen(workers, ({ mostMemory, limit }) => mostMemory / (limit || most)).map((worker) => ({
    label: worker.name,
    cells: worker.at.map((one) => (one === undefined ? undefined : one[2] / (worker.limit || most))),
    title: `${worker.name}: at most ${bytesText(worker.mostMemory)}${worker.limit > 0 ? ` of ${bytesText(worker.limit)}` : ""}`,
    most: bytesText(worker.mostMemory),
  }));
}

/** The rows of the drawing of the processor: a share of each worker's threads. Pure. */
export function processorRows({ workers }: Course): readonly HeatRow[] {
  return chosen(workers, ({ busy }) => -busy).map((worker) => ({
    label: worker.name,
    cells: worker.at.map((one) => (one === undefined ? undefined : Math.min(1, one[1] / 100 / worker.threads))),
    title: `${worker.name}: ${Math.round(100 * worker.busy)} % of ${worker.threads} threads on average`,
    most: `${Math.round(100 * worker.busy)} %`,
  }));
}

/** All workers, or those that matter most, in the order of their names. */
function chosen(workers: readonly WorkerCourse[], weight: (worker: WorkerCourse) => number): readonly WorkerCourse[] {
  if (workers.length <= mostRows) return workers;
  const matter = new Set(workers.toSorted((a, b) => weight(b) - weight(a)).slice(0, mostRows));
  return workers.filter((worker) => matter.has(worker));
}

/** How long apart the samples are, in words. */
export function pauseText(times: readonly number[]): string {
  const length = (times.at(-1) ?? 0) - (times[0] ?? 0);
  return times.length < 2 ? "" : `a look every ${durationText(length / 1000 / (times.length - 1))} or so`;
}
