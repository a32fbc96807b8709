import { said } from "./banner.ts";
import type { Ending } from "./end.ts";
import { bytesText } from "./format.ts";
import { count } from "./ranges.ts";

/**
 * What a launch was used for, as far as it is known: a killed scheduler, or a cluster that was joined, leaves
 * `scheduled` out.
 */
export interface Usage {
  /** How many workers were there at once, at most. */
  readonly workers: number;
  /** How often a worker that was lost was started again. */
  readonly restarts: number;
  readonly scheduled?: {
    readonly clients: number;
    /** Tasks that were run, those that failed included. */
    readonly tasks: number;
    /** Workers that ran at least one. */
    readonly used: number;
    /** Workers that were ever there, one that was started again counted once. */
    readonly seen: number;
    /** Bytes written to the workers' disks. */
    readonly spilled: number;
    /** Tasks that never ran, since no worker had the resources, or was the worker, that they asked for. */
    readonly unrunnable: number;
  };
  readonly worked?: {
    /** Seconds of processor of all workers, and threads × seconds that there were. */
    readonly cpu: number;
    readonly threadSeconds: number;
    readonly threads: number;
    /** Greatest memory of the fullest worker and its limit (0: none), in bytes. */
    readonly peak: number;
    readonly limit: number;
  };
}

export type Verdict = "unknown" | "no-client" | "no-task" | "few-workers" | "all-workers";

/** Whether the cluster was used. */
export function verdict({ scheduled, workers }: Usage): Verdict {
  if (scheduled === undefined) return "unknown";
  if (scheduled.tasks > 0) return scheduled.used < Math.max(scheduled.seen, workers) ? "few-workers" : "all-workers";
  return scheduled.clients === 0 ? "no-client" : "no-task";
}

/**
 * The lines after the one that says how the launch ended: what it used, and whether that was the cluster. Empty when
 * nothing is known.
 */
export function usageText(usage: Usage, ending: Ending): string {
  const hint = unusedText(usage, ending);
  const figures = figuresText(usage);
  return said([...(figures === "" ? [] : [figures]), ...(hint === undefined ? [] : [hint])]);
}

function figuresText({ restarts, scheduled, worked }: Usage): string {
  return [
    ...(scheduled === undefined ? [] : [count(scheduled.tasks, "task")]),
    ...(worked === undefined ? [] : [processorText(worked)]),
    // Of workers that are ending at this moment the system does not tell it any more.
    ...(worked === undefined || worked.peak === 0 ? [] : [memoryText(worked)]),
    ...(restarts === 0 ? [] : [count(restarts, "restart")]),
    ...(scheduled === undefined || scheduled.spilled === 0 ? [] : [`${bytesText(scheduled.spilled)} spilled to disk`]),
  ].join(", ");
}

function processorText({ cpu, threadSeconds, threads }: NonNullable<Usage["worked"]>): string {
  const share = threadSeconds > 0 ? (100 * cpu) / threadSeconds : 0;
  return `processor ${share > 0 && share < 1 ? "under 1" : Math.round(share)} % of ${count(threads, "thread")}`;
}

function memoryText({ peak, limit }: NonNullable<Usage["worked"]>): string {
  return `at most ${bytesText(peak)}${limit > 0 ? ` of ${bytesText(limit)}` : ""} in a worker`;
}

/**
 * In one sentence, that and probably why the cluster was not, or not wholly, used; undefined when it was, or when there
 * is no saying.
 */
function unusedText(usage: Usage, ending: Ending): string | undefined {
  const { scheduled, workers } = usage;
  if (scheduled === undefined || !ownEnd.has(ending.kind)) return undefined;
  const { tasks, used, seen, unrunnable } = scheduled;
  const there = Math.max(seen, workers);
  const script = ending.kind === "script" || ending.kind === "script-killed" ? ending.name : undefined;
  const failed = ending.kind === "script-killed" || (ending.kind === "script" && ending.code !== 0);
  if (unrunnable > 0 && there > 0)
    return `${count(unrunnable, "task")} waited for a worker in vain: none had the resources (\`--resources GPU=1\`, \`--group\`), or was the worker, that they asked for.`;
  switch (verdict(usage)) {
    case "no-client":
      if (script === undefined) return "no client ever connected.";
      return `no client ever connected: ${script} ${failed ? "ended before it made a" : "made no"} \`Client()\` of this cluster, so the workers had nothing to do.`;
    case "no-task":
      return `a client connected, no task ran: ${noTaskReason(there, failed)}.`;
    case "few-workers":
      if (usage.restarts > 0)
        return `tasks were done on ${used} of ${there} workers: some were lost on the way (${count(usage.restarts, "restart")}), and what they ran with them; the TSD-055 lines above say why.`;
      return `tasks ran on ${used} of ${there} workers: ${tasks < there ? `with only ${count(tasks, "task")}, some had nothing to do; more and smaller partitions or chunks use more` : "the others came late, or tasks stayed where their data was; more and smaller partitions or chunks use more"}.`;
    default:
      return undefined;
  }
}

/** Endings that leave the question whether the cluster was used; others have a message that matters more. */
const ownEnd: ReadonlySet<Ending["kind"]> = new Set([
  "script",
  "script-killed",
  "jupyter",
  "closed",
  "idle",
  "walltime",
  "signal",
]);

function noTaskReason(workers: number, failed: boolean): string {
  if (workers === 0) return "no worker had registered when it ended (--wait-workers 1 has the script wait for one)";
  if (failed) return "it ended before it submitted one, or before one was done";
  return 'nothing was submitted to it, or it was computed in the script\'s own process (`scheduler="threads"`, or a cluster of its own)';
}
