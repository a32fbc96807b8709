import { isRecord } from "../dask/comm.ts";
import { callScheduler, type SchedulerEndpoint } from "../dask/rpc.ts";
import { deadlines, pythonDeadlines } from "../deadlines.ts";
import { fields, silentOf, type SilentWorker } from "../registry/snapshot.ts";
import { Failure } from "../errors/failure.ts";
import type { RecordEvent, WorkerSample } from "../report/lines.ts";
import { callAfter } from "../timers.ts";

/** The first look (ms after the scheduler answers), and the shortest and longest time between two. */
const firstLook = 1_000;
const shortest = 2_000;
const longest = 60_000;
/**
 * The pause grows with the run, so that a long one has some hundred samples, and with the workers, so that a large one
 * has no more to say than a small one.
 */
const share = 50;
const workersPerSecond = 50;
/**
 * Dask's own report takes its scheduler about a second: made first after so long (ms), and each time when the run has
 * become twice as long.
 */
const firstReport = 100_000;

export interface Samples {
  readonly stop: () => void;
  /** Has Dask make its report now. Never rejects. */
  readonly daskPage: () => Promise<void>;
}

/** Takes Dask's report, or why there is none. */
type TakePage = (page: { readonly html: string } | { readonly problem: string }) => Promise<void>;

/**
 * Looks at a cluster's workers now and then, through the scheduler's own port and from the heartbeats that it has
 * already.
 */
export function takeSamples({
  scheduler,
  keep,
  silent,
  daskPage,
}: {
  readonly scheduler: SchedulerEndpoint;
  readonly keep: (event: RecordEvent) => void;
  /** Is told which workers the scheduler has not heard of for long, at each look. */
  readonly silent: (workers: readonly SilentWorker[]) => void;
  /** Absent: Dask's report is not asked for. */
  readonly daskPage?: TakePage;
}): Samples {
  const began = performance.now();
  const waiting = new Map<string, () => void>();
  let stopped = false;
  let asking: Promise<void> | undefined;

  const later = (name: string, wait: number, act: () => Promise<void>): void => {
    if (stopped) return;
    const due = (): void => void act().catch(() => undefined);
    waiting.set(name, callAfter(wait, due, { ref: false }));
  };
  const look = async (): Promise<void> => {
    let workers = 0;
    try {
      const found = await callScheduler(scheduler, "tsdask_sample", {}, { deadline: deadlines.connectCommand });
      const sample = sampleOf(found);
      workers = sample.workers.length;
      if (stopped) return;
      keep(sample);
      silent(silentOf(fields(found)["silent"]));
    } catch {
      // It is gone, or busy: there is a gap then.
    }
    const run = performance.now() - began;
    const wait = Math.max(shortest, run / share, (workers / workersPerSecond) * 1000);
    later("sample", Math.min(longest, wait), look);
  };
  const ask = (): Promise<void> => askReport(scheduler, daskPage);
  const askAgain = async (): Promise<void> => {
    asking = ask();
    await asking;
    later("report", performance.now() - began, askAgain);
  };

  /** The scheduler answers when it is about to close by itself, and waits then until its report has been taken. */
  const untilItCloses = async (): Promise<void> => {
    const deadline = pythonDeadlines.reportAsked + deadlines.daskReport;
    try {
      const reply = await callScheduler(scheduler, "tsdask_last_report", {}, { deadline });
      if (isNothing(reply)) return later("close", 0, untilItCloses);
      await daskPage?.(pageOf(reply));
      await callScheduler(scheduler, "tsdask_report_taken", {}, { deadline: deadlines.connectCommand });
    } catch {
      // It was lost; another may come in its place.
      later("close", deadlines.lastReportAgain, untilItCloses);
    }
  };

  later("sample", firstLook, look);
  if (daskPage !== undefined) {
    void untilItCloses();
    later("report", firstReport, askAgain);
  }
  return {
    stop: () => {
      stopped = true;
      for (const cancel of waiting.values()) cancel();
    },
    daskPage: async () => {
      if (daskPage === undefined) return;
      await asking?.catch(() => undefined);
      await Promise.all([ask().catch(() => undefined), look()]);
    },
  };
}

async function askReport(scheduler: SchedulerEndpoint, take: TakePage | undefined): Promise<void> {
  try {
    const reply = await callScheduler(scheduler, "tsdask_report", {}, { deadline: deadlines.daskReport });
    await take?.(pageOf(reply));
  } catch (error) {
    const why = String(error instanceof Failure ? error.facts["problem"] : error).replace(/\.$/, "");
    await take?.({ problem: `the scheduler did not make it: ${why}` });
  }
}

/** A scheduler's answer as a line of the record; what is no figure is 0. Pure. */
export function sampleOf(reply: unknown): Extract<RecordEvent, { readonly k: "sample" }> {
  const { workers, finished, idle } = (reply ?? {}) as Readonly<Record<string, unknown>>;
  const rows = Array.isArray(workers) ? workers.filter((row): row is unknown[] => Array.isArray(row)) : [];
  const figure = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);
  return {
    k: "sample",
    workers: rows.map(
      ([name, ...rest]): WorkerSample => [
        String(name),
        figure(rest[0]),
        figure(rest[1]),
        figure(rest[2]),
        figure(rest[3]),
      ],
    ),
    finished: figure(finished),
    idle: Math.round(figure(idle)),
  };
}

const isNothing = (reply: unknown): boolean => isRecord(reply) && Object.keys(reply).length === 0;

function pageOf(reply: unknown): { readonly html: string } | { readonly problem: string } {
  const { page, problem } = (reply ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof page === "string") return { html: page };
  return { problem: typeof problem === "string" ? problem : "the scheduler's answer was none" };
}
