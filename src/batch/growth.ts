import { deadlines } from "../deadlines.ts";
import { labelOf } from "./job.ts";
import type { BatchName, JobState } from "./system.ts";

/** A worker as the scheduler tells of it. */
export interface WorkerSeen {
  readonly address: string;
  readonly name: string;
  /** Tasks that it runs or has in its queue. */
  readonly busy: number;
  /** Bytes of results that it holds. */
  readonly bytes: number;
}

/** A worker job of ours. */
export interface JobSeen {
  readonly id: string;
  readonly state: JobState;
  /** Workers it is to bring. */
  readonly expected: number;
  /** Whether any worker of it was ever in. */
  readonly joined: boolean;
  /**
   * It ran a moment ago and is ending without having been told to: it may have been preempted, and be in the queue
   * again soon.
   */
  readonly settling?: true;
  /** Workers of it that were in are missing: the scheduler was started again a moment ago, and they come back to it. */
  readonly returning?: true;
  /** Its first worker came a moment ago, and others of it are still on their way. */
  readonly arriving?: true;
  /** Its workers that are in. */
  readonly workers: readonly WorkerSeen[];
}

/**
 * What to do: submit so many jobs; retire these jobs' workers, then cancel them; cancel these, which have no worker
 * yet.
 */
export interface GrowthPlan {
  readonly submit: number;
  readonly retire: readonly JobSeen[];
  readonly cancel: readonly JobSeen[];
}

export interface GrowthInput {
  /** Workers wanted in all. */
  readonly target: number;
  /** Workers that no job of ours brought: they stay. */
  readonly others: number;
  readonly jobs: readonly JobSeen[];
  /** Workers that a new job would bring. */
  readonly perJob: number;
  /** Whether workers with tasks may be retired (their tasks then run elsewhere). */
  readonly busyToo: boolean;
}

/** Whether no more workers of a job are on their way than those that are in. */
export function allCame({ joined, returning, arriving }: JobSeen): boolean {
  return joined && returning !== true && arriving !== true;
}

/** How many workers a job counts for: those it has, or those it will have once it starts. */
export function countsFor(job: JobSeen): number {
  const { state, expected, workers, settling } = job;
  if (state === "ending" && settling === true) return expected;
  if (state === "gone" || state === "ending" || state === "held") return 0;
  // Also one that was put back into the queue after it ran.
  if (state === "pending") return expected;
  return allCame(job) ? workers.length : expected;
}

/**
 * When the first worker of a job was seen to be in (seconds since 1970, as `now`), as long as not all of them were;
 * undefined before and after. `job` is as it was written down at the look before, `workers` those that are in now.
 * Pure.
 */
export function firstIn(
  job: { readonly joined: boolean; readonly expected: number; readonly firstIn?: number | undefined },
  { workers, now }: { readonly workers: number; readonly now: number },
): number | undefined {
  if (workers >= job.expected) return undefined;
  if (job.joined) return job.firstIn;
  return workers > 0 ? now : undefined;
}

/** Whether workers of a job may still be on their way, its first having come at `first`. Pure. */
export function stillArrives(state: JobState, first: number | undefined, now: number): boolean {
  return state === "running" && first !== undefined && Math.abs(now - first) * 1000 < deadlines.jobArrives;
}

/**
 * Whether workers of a job are on their way back to a scheduler that was started `started` (seconds since 1970, as
 * `now`): the job is an older one, and this was a moment ago. Pure.
 */
export function comesBack(
  { state, joined, submitted, expected, workers }: JobSeen & { readonly submitted: number },
  { started, now }: { readonly started: number; readonly now: number },
): boolean {
  const again = submitted < started && Math.abs(now - started) * 1000 < deadlines.schedulerSettles;
  return again && state === "running" && joined && workers.length < expected;
}

/**
 * The state of a job that its batch system does not show. One out of `reach` can only be told by its workers, which a
 * scheduler that was `started` a moment ago may not have yet. One in reach is over, unless it was submitted a moment
 * ago and never `seen`: not every daemon may know it by then. Times in seconds since 1970. Pure.
 */
export function stateUnseen(
  job: { readonly system: BatchName; readonly submitted: number; readonly joined: boolean } & {
    readonly seen: boolean;
    readonly reach: boolean;
  },
  { workers, started, now }: { readonly workers: number; readonly started: number; readonly now: number },
): JobState {
  const within = (time: number, deadline: number): boolean => Math.abs(now - time) * 1000 < deadline;
  if (!job.reach) return workers > 0 || !job.joined || within(started, deadlines.schedulerSettles) ? "running" : "gone";
  const appears = job.system !== "local" && !job.joined && !job.seen && within(job.submitted, deadlines.jobAppears);
  return appears ? "pending" : "gone";
}

/**
 * From the wanted number of workers to jobs. Pending jobs are counted in, so that a slow queue is not asked twice; when
 * there are too many, pending jobs go first, then those whose workers are idle and hold least; never so many that fewer
 * than `target` workers are left. Pure.
 */
export function growthPlan({ target, others, jobs, perJob, busyToo }: GrowthInput): GrowthPlan {
  const counted = jobs.map((job) => ({ job, count: countsFor(job) })).filter(({ count }) => count > 0);
  const capacity = others + counted.reduce((sum, { count }) => sum + count, 0);
  if (capacity < target)
    return { submit: Math.ceil((target - capacity) / Math.max(1, perJob)), retire: [], cancel: [] };
  const busy = (job: JobSeen): number => job.workers.reduce((sum, worker) => sum + worker.busy, 0);
  const bytes = (job: JobSeen): number => job.workers.reduce((sum, worker) => sum + worker.bytes, 0);
  const order = (job: JobSeen): readonly number[] => [
    job.workers.length === 0 ? 0 : 1,
    job.state === "pending" ? 0 : 1,
    busy(job),
    job.arriving === true ? 0 : 1,
    bytes(job),
  ];
  const candidates = counted
    .filter(({ job }) => job.state !== "ending" && (busyToo || busy(job) === 0))
    .toSorted((a, b) => compare(order(a.job), order(b.job)));
  let surplus = capacity - target;
  const leaving: JobSeen[] = [];
  for (const { job, count } of candidates) {
    if (count > surplus) continue;
    leaving.push(job);
    surplus -= count;
  }
  return {
    submit: 0,
    retire: leaving.filter((job) => job.workers.length > 0),
    cancel: leaving.filter((job) => job.workers.length === 0),
  };
}

/** Whether a worker of this name belongs to a job: joined workers are named `<name>-<job's label>-<rank>`. */
export function isOfJob(workerName: string, jobId: string): boolean {
  const match = /^(.*)-\d+$/.exec(workerName);
  const parts = (match?.[1] ?? "").split("-");
  return match !== null && parts.some((_, i) => i > 0 && labelOf(parts.slice(i).join("-"), jobId));
}

function compare(a: readonly number[], b: readonly number[]): number {
  const i = a.findIndex((value, at) => value !== b[at]);
  return i < 0 ? 0 : (a[i] ?? 0) - (b[i] ?? 0);
}
