import type { JobState } from "../batch/system.ts";
import { fields, number, type Snapshot } from "./snapshot.ts";

/**
 * One worker, as its last heartbeat told. Bytes; `cpu` in percent of one core; `lag` is how late its event loop was, in
 * seconds.
 */
export interface WorkerStatus {
  readonly name: string;
  readonly address: string;
  readonly host: string;
  readonly status: string;
  readonly threads: number;
  readonly cpu: number;
  readonly memory: number;
  /** 0 for no limit. */
  readonly limit: number;
  readonly spilled: number;
  readonly running: number;
  readonly ready: number;
  readonly lag: number;
}

/** The workers of one host, together. */
export interface HostStatus {
  readonly host: string;
  readonly workers: number;
  readonly threads: number;
  readonly cpu: number;
  readonly memory: number;
  readonly limit: number;
  readonly spilled: number;
  readonly paused: number;
  readonly running: number;
}

export interface TaskStatus {
  readonly waiting: number;
  readonly queued: number;
  /** Tasks that no worker may run. */
  readonly unrunnable: number;
  readonly processing: number;
  readonly inMemory: number;
  readonly erred: number;
  readonly finished: number | undefined;
  /** Results per second between the two snapshots. */
  readonly rate: number | undefined;
}

/** A worker job of scale or adapt. */
export interface JobStatus {
  readonly system: string;
  readonly id: string;
  readonly state: JobState;
  readonly expected: number;
  /** The batch system's own word for why it waits. */
  readonly reason?: string;
}

/**
 * Workers from Dask's `identity`, from 2022.12 (`executing`, `spilled_nbytes`) to the newest (`task_counts`,
 * `spilled_bytes`). Pure.
 */
export function workersOf({ identity, hosts }: Snapshot): readonly WorkerStatus[] {
  return Object.entries(identity.workers).map(([address, worker]) => {
    const metrics = fields(worker["metrics"]);
    const counts = "task_counts" in metrics ? fields(metrics["task_counts"]) : metrics;
    const spilled = metrics["spilled_bytes"] ?? metrics["spilled_nbytes"];
    return {
      name: String(worker.name ?? address),
      address,
      host: hosts?.get(worker.host ?? "") ?? worker.host ?? "?",
      status: String(worker.status ?? "running"),
      threads: worker.nthreads ?? 0,
      cpu: number(metrics["cpu"]),
      memory: number(metrics["memory"]),
      limit: worker.memory_limit ?? 0,
      spilled: typeof spilled === "number" ? spilled : number(fields(spilled)["disk"]),
      running: number(counts["executing"]) + number(counts["long-running"]),
      ready: number(counts["ready"]),
      lag: Math.max(0, number(metrics["event_loop_interval"])),
    };
  });
}

/** Workers by host, in the order of the hosts' names. Pure. */
export function hostsOf(workers: readonly WorkerStatus[]): readonly HostStatus[] {
  return [...Map.groupBy(workers, ({ host }) => host)]
    .toSorted(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
    .map(([host, own]) => {
      const sum = (of: (worker: WorkerStatus) => number): number => own.reduce((total, one) => total + of(one), 0);
      return {
        host,
        workers: own.length,
        threads: sum(({ threads }) => threads),
        cpu: sum(({ cpu }) => cpu),
        memory: sum(({ memory }) => memory),
        limit: own.some(({ limit }) => limit === 0) ? 0 : sum(({ limit }) => limit),
        spilled: sum(({ spilled }) => spilled),
        paused: own.filter(({ status }) => status === "paused").length,
        running: sum(({ running }) => running),
      };
    });
}

/** Tasks by what people ask for, with the rate since an earlier snapshot. Pure. */
export function tasksOf({ tasks, finished, at }: Snapshot, before: Snapshot | undefined): TaskStatus {
  const of = (...states: readonly string[]): number => states.reduce((sum, state) => sum + (tasks[state] ?? 0), 0);
  const rate =
    finished === undefined || before?.finished === undefined || at <= before.at
      ? undefined
      : Math.max(0, finished - before.finished) / (at - before.at);
  return {
    waiting: of("waiting"),
    queued: of("queued"),
    unrunnable: of("no-worker"),
    processing: of("processing"),
    inMemory: of("memory"),
    erred: of("erred"),
    finished,
    rate,
  };
}

/** What keeps the work from going on, as a sentence without its full stop; undefined when nothing does. Pure. */
export function waitsFor(tasks: TaskStatus, workers: readonly WorkerStatus[]): string | undefined {
  const work = tasks.waiting + tasks.queued + tasks.unrunnable + tasks.processing;
  const paused = workers.filter(({ status }) => status === "paused").length;
  if (workers.length === 0) return work > 0 ? "workers: there are tasks, and no worker is in" : "workers: none is in";
  if (tasks.unrunnable > 0)
    return `a worker that may run ${tasks.unrunnable} of the tasks: none has the resources, or is the worker, that they ask for`;
  if (paused > 0 && paused === workers.length)
    return "memory: all workers are paused, because each is over its pause limit";
  if (paused > 0 && work > 0) return `memory on ${paused} of ${workers.length} workers, which are paused`;
  if (work === 0) return "a client: there is no task to run";
  if (tasks.processing === 0) return "tasks that others wait for; nothing runs at the moment";
  return undefined;
}

/** The worker whose memory is the fullest, and the one whose event loop is late the most. Pure. */
export function extremes(workers: readonly WorkerStatus[]): {
  readonly fullest: WorkerStatus | undefined;
  readonly slowest: WorkerStatus | undefined;
} {
  const most = (of: (worker: WorkerStatus) => number): WorkerStatus | undefined =>
    workers.reduce<WorkerStatus | undefined>(
      (best, one) => (best === undefined || of(one) > of(best) ? one : best),
      undefined,
    );
  return {
    fullest: most(({ memory, limit }) => (limit > 0 ? memory / limit : memory / 2 ** 60)),
    slowest: most(({ lag }) => lag),
  };
}
