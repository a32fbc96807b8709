import { deadlines } from "../deadlines.ts";
import type { Child } from "./child.ts";

export interface SchedulerWatch {
  /** A scheduler answers at this address. */
  readonly heard: (address: string) => void;
  /** The worker was started. */
  readonly start: (worker: Child) => void;
  /** The worker has lost its scheduler; the next one is to be started. */
  readonly lost: () => void;
  readonly stop: () => void;
}

/**
 * What a worker's rank knows of the scheduler, and has told the worker. The next one answers at the same address as the
 * one that is lost: it is connected to when it has been heard of again, or after a while, since what was lost may have
 * been no more than the connection.
 */
export function schedulerWatch(): SchedulerWatch {
  let address: string | undefined;
  let untold: Child | undefined;
  /** What has been heard of is the one that the worker was told, or one before it. */
  let known = false;
  let lost = false;
  let patience: NodeJS.Timeout | undefined;
  const tell = (): void => {
    clearTimeout(patience);
    lost = false;
    if (untold === undefined || address === undefined) return;
    untold.tell({ op: "address", scheduler: address });
    untold = undefined;
    known = true;
  };
  return {
    heard: (scheduler) => {
      address = scheduler;
      known = false;
      tell();
    },
    start: (worker) => {
      untold = worker;
      if (!lost) tell();
    },
    lost: () => {
      if (!known) return;
      lost = true;
      patience = setTimeout(tell, deadlines.schedulerHeard);
      patience.unref();
    },
    stop: () => clearTimeout(patience),
  };
}
