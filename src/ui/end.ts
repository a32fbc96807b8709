import { said } from "./banner.ts";
import { durationText } from "./format.ts";
import { count } from "./ranges.ts";

/** How a launch ended, for the last sentence. */
export type Ending =
  /** The script, notebook or command ended by itself. */
  | { readonly kind: "script"; readonly name: string; readonly code: number }
  | { readonly kind: "script-killed"; readonly name: string; readonly signal: string }
  /** A signal to us: Ctrl-C, scancel, mpirun's own end. */
  | { readonly kind: "signal"; readonly signal: string }
  /** Jupyter was shut down from its page. */
  | { readonly kind: "jupyter"; readonly code: number }
  /** A client called `Client.shutdown()`, or the scheduler was retired from its dashboard. */
  | { readonly kind: "closed" }
  | { readonly kind: "idle"; readonly seconds: number }
  | { readonly kind: "walltime" }
  /** Joined workers: the cluster they had joined has ended. */
  | { readonly kind: "cluster-gone" }
  /** Joined workers: the cluster does not need them any more. */
  | { readonly kind: "retired" }
  | { readonly kind: "scheduler-lost" }
  | { readonly kind: "workers-lost" }
  | { readonly kind: "rank-lost"; readonly rank: number; readonly host: string }
  | { readonly kind: "failed"; readonly code: string };

export interface EndFacts {
  /** Seconds from the start of the launch, or of the script where there is one. */
  readonly seconds: number;
  /** How many workers took part. */
  readonly workers?: number;
  /** The folder with the logs, if it is kept. */
  readonly log?: string;
}

/**
 * The sentence at the end: what happened, after how long, on how many workers, and where the logs are. One or two lines
 * behind `tsdask-mpi: `.
 */
export function endText(ending: Ending, { seconds, workers, log }: EndFacts): string {
  const after = ` after ${durationText(seconds)}`;
  const on = workers === undefined || workers === 0 ? "" : ` on ${count(workers, "worker")}`;
  return said([`${whatHappened(ending, `${after}${on}`)}.`, ...(log === undefined ? [] : [`logs: ${log}`])]);
}

/** How a launch ended, as a sentence without its full stop: `train.py ended with exit code 1`. */
export function howItEnded(ending: Ending): string {
  return whatHappened(ending, "");
}

function whatHappened(ending: Ending, when: string): string {
  switch (ending.kind) {
    case "script":
      return ending.code === 0
        ? `${ending.name} finished${when}`
        : `${ending.name} ended with exit code ${ending.code}${when}`;
    case "script-killed":
      return `${ending.name} was ended by ${ending.signal}${when}`;
    case "signal":
      return `stopped by ${signalText(ending.signal)}${when}`;
    case "jupyter":
      return ending.code === 0 ? `Jupyter was shut down${when}` : `Jupyter ended with exit code ${ending.code}${when}`;
    case "closed":
      return `the cluster was shut down by a client${when}`;
    case "idle":
      return `the cluster was idle for ${durationText(ending.seconds)} and was shut down${when}`;
    case "walltime":
      return `its time was over: the launch ended in order${when}`;
    case "cluster-gone":
      return `the cluster that these workers had joined has ended${when}`;
    case "retired":
      return `the cluster retired these workers${when}`;
    case "scheduler-lost":
      return `the scheduler was lost${when}; the launch is over`;
    case "workers-lost":
      return `all workers were lost${when}; the launch is over`;
    case "rank-lost":
      return `rank ${ending.rank} on ${ending.host} was lost${when}; the launch is over`;
    case "failed":
      return `the launch failed${when} (${ending.code})`;
  }
}

function signalText(signal: string): string {
  return signal === "SIGINT" ? "Ctrl-C (SIGINT)" : signal;
}
