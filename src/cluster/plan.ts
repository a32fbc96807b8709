import type { Options } from "../config/options.ts";
import { Failure } from "../errors/failure.ts";
import type { Role } from "../protocol/messages.ts";

export interface PlanInput {
  /** Number of ranks of the launch. */
  readonly size: number;
  /** Is a scheduler started here (else the ranks join a running cluster)? */
  readonly scheduler: boolean;
  readonly schedulerRank: number;
  /** The rank that runs the script or JupyterLab; by default the first that is not the scheduler's. */
  readonly clientRank?: number | undefined;
  /** Is there a script, a command or JupyterLab to run? */
  readonly client: boolean;
  /** Must a worker have a rank of its own? */
  readonly exclusiveWorkers: boolean;
}

export interface Plan {
  readonly size: number;
  readonly schedulerRank: number | undefined;
  readonly clientRank: number | undefined;
  /** Ranks that run a worker, in order. */
  readonly workerRanks: readonly number[];
}

/**
 * Gives every rank of a launch its roles; the same input gives the same plan on every rank.
 * Throws TSD-002 when the world is too small, TSD-003 when a named rank is not in it.
 */
export function plan(input: PlanInput): Plan {
  const { size } = input;
  const schedulerRank = input.scheduler ? input.schedulerRank : undefined;
  if (schedulerRank !== undefined) inWorld("--scheduler-rank", schedulerRank, size);
  const clientRank = input.client ? (input.clientRank ?? firstBut(schedulerRank, size)) : undefined;
  if (clientRank !== undefined) inWorld("--client-rank", clientRank, size);
  const taken = new Set(input.exclusiveWorkers ? [schedulerRank, clientRank] : []);
  const workerRanks = Array.from({ length: size }, (_, rank) => rank).filter((rank) => !taken.has(rank));
  if (workerRanks.length === 0) {
    // In a world of one rank the script shares the scheduler's; with enough of them it has its own, unless it was told
    // to share.
    const shared = input.clientRank !== undefined && input.clientRank === schedulerRank;
    const busy = (schedulerRank === undefined ? 0 : 1) + (clientRank === undefined || shared ? 0 : 1);
    throw new Failure("TSD-002", {
      size,
      needed: busy + 1,
      why: `One rank is the scheduler${input.client ? ", one runs the script" : ""}, and at least one more must be a worker.`,
    });
  }
  return { size, schedulerRank, clientRank, workerRanks };
}

/** The roles of one rank, in the order in which they are started. */
export function rolesOf(rank: number, plan: Plan): readonly Role[] {
  const roles: Role[] = [];
  if (rank === plan.schedulerRank) roles.push("scheduler");
  if (plan.workerRanks.includes(rank)) roles.push("worker");
  if (rank === plan.clientRank) roles.push("client");
  return roles;
}

function firstBut(taken: number | undefined, size: number): number {
  const first = taken === 0 ? 1 : 0;
  return first < size ? first : 0;
}

function inWorld(option: string, rank: number, size: number): void {
  if (rank >= size) {
    throw new Failure("TSD-002", {
      size,
      needed: rank + 1,
      why: `${option} ${rank} names a rank that does not exist: the ranks are 0 to ${size - 1}.`,
    });
  }
}

type PlanOptions = Pick<
  Options,
  "scheduler" | "schedulerRank" | "clientRank" | "script" | "jupyter" | "exclusiveWorkers"
>;

/** The plan of a launch of `size` ranks with these options; throws as `plan` does. */
export function planFor(options: PlanOptions, size: number): Plan {
  return plan({
    size,
    scheduler: options.scheduler,
    schedulerRank: options.schedulerRank,
    clientRank: options.clientRank,
    client: options.script !== undefined || options.jupyter !== undefined,
    exclusiveWorkers: options.exclusiveWorkers,
  });
}
