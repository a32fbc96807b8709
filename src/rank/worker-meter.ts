import { residentBytes, sharedBytes } from "./proc-memory.ts";
import { processTree, procStat } from "../launcher/proc-stat.ts";

/** What a rank's worker used of what it had. */
export interface WorkerUse {
  /** Seconds of processor, of the worker and what it started, from when it was ready. */
  readonly cpu: number;
  /** Its threads × the seconds it was there. */
  readonly threadSeconds: number;
  readonly threads: number;
  /** Greatest memory in bytes; where it comes near the limit, without what other processes have a part in. */
  readonly peak: number;
  /** Its limit in bytes; 0: none. */
  readonly limit: number;
}

export interface WorkerMeter {
  readonly ready: (worker: {
    readonly pid: number | undefined;
    readonly threads: number;
    readonly limit: number;
    /** The most, in bytes, that is taken off its memory for what it shares. */
    readonly shared: number;
  }) => void;
  /**
   * The worker's process has ended; the fork server says what it used, a Python started by itself has nobody who does.
   */
  readonly ended: (used: { readonly cpu?: number; readonly peak?: number }) => void;
  /** What the rank's workers used, the one that still runs as `pid` included; undefined when none was ever ready. */
  readonly read: (pid: number | undefined) => WorkerUse | undefined;
}

/** Linux' clock ticks per second in `/proc/<pid>/stat`: 100 on every machine we support (proc(5), USER_HZ). */
const ticks = 100;

/**
 * Keeps what the workers of one rank use, one after the other. The kernel counts it anyway: `/proc` of one that runs is
 * read when it is ready and at the end, and wait4(2) has the rest, so nothing is sampled in between.
 */
export function workerMeter(now: () => number = () => performance.now()): WorkerMeter {
  let past = { cpu: 0, threadSeconds: 0, peak: 0 };
  let running: { readonly since: number; readonly before: number } | undefined;
  let threads = 0;
  let limit = 0;
  let most = 0;
  let ever = false;

  const withRunning = (cpu: number, peak: number): typeof past => {
    if (running === undefined) return past;
    return {
      cpu: past.cpu + Math.max(0, cpu - running.before),
      threadSeconds: past.threadSeconds + (threads * (now() - running.since)) / 1000,
      peak: Math.max(past.peak, peak),
    };
  };
  return {
    ready: (worker) => {
      ever = true;
      ({ threads, limit, shared: most } = worker);
      const spent = worker.pid === undefined ? undefined : procStat(worker.pid)?.ticks;
      running = { since: now(), before: (spent ?? 0) / ticks };
    },
    ended: ({ cpu, peak }) => {
      if (cpu !== undefined && peak !== undefined) past = withRunning(cpu, peak);
      running = undefined;
    },
    read: (pid) => {
      if (!ever) return undefined;
      const living =
        pid === undefined
          ? []
          : processTree(pid).flatMap((one) => useOf(one, limit, one === pid ? most : Infinity) ?? []);
      const cpu = living.reduce((sum, one) => sum + one.cpu, 0);
      return { ...withRunning(cpu, Math.max(0, ...living.map(({ peak }) => peak))), threads, limit };
    },
  };
}

/** Seconds of processor of a process and its children that have ended (proc(5)), and its greatest memory in bytes. */
function useOf(pid: number, limit: number, most: number): { readonly cpu: number; readonly peak: number } | undefined {
  const spent = procStat(pid)?.ticks;
  if (spent === undefined) return undefined;
  const { now = 0, peak = 0 } = residentBytes(pid) ?? {};
  const shared = limit > 0 && now > limit / 2 ? sharedBytes(pid, most) : 0;
  return { cpu: spent / ticks, peak: peak - shared };
}
