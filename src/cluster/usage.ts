import type { RankEvent } from "../protocol/messages.ts";
import type { Usage } from "../ui/usage.ts";

export type UsageEvent = Extract<RankEvent, { k: "scheduler-usage" | "worker-usage" }>;

type WorkerTold = Extract<UsageEvent, { k: "worker-usage" }>;

/** What the launch knows at its end, as far as it is needed here. */
interface EndFacts {
  readonly workers: number;
  readonly restarts: number;
  /** The ranks that are about to say what their workers used. */
  readonly telling: readonly number[];
  /** Whether the scheduler is about to say what it was used for. */
  readonly schedulerTells: boolean;
}

export interface UsageCollector {
  readonly add: (rank: number, event: UsageEvent) => void;
  /** What is known when all who are about to tell have told, or `deadline` ms have passed. */
  readonly whenTold: (facts: EndFacts, deadline: number) => Promise<Usage>;
}

/** Collects on rank 0 what the scheduler and the workers were used for. */
export function collectUsage(): UsageCollector {
  let scheduler: Extract<UsageEvent, { k: "scheduler-usage" }> | undefined;
  const workers = new Map<number, WorkerTold>();
  let look: (() => void) | undefined;
  return {
    add: (rank, event) => {
      if (event.k === "scheduler-usage") scheduler = event;
      else workers.set(rank, event);
      look?.();
    },
    whenTold: async (facts, deadline) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      look = () => {
        if ((scheduler !== undefined || !facts.schedulerTells) && facts.telling.every((rank) => workers.has(rank)))
          resolve();
      };
      // After a stall of this process, what came meanwhile is read first.
      const late = setTimeout(() => setImmediate(resolve), deadline);
      look();
      await promise;
      clearTimeout(late);
      return {
        workers: facts.workers,
        restarts: facts.restarts,
        ...scheduled(scheduler),
        ...worked([...workers.values()]),
      };
    },
  };
}

function scheduled(told: Extract<UsageEvent, { k: "scheduler-usage" }> | undefined): Pick<Usage, "scheduled"> {
  if (told === undefined) return {};
  const { clients, tasks, used, seen, spilled, unrunnable } = told;
  return { scheduled: { clients, tasks, used, seen, spilled, unrunnable } };
}

function worked(told: readonly WorkerTold[]): Pick<Usage, "worked"> {
  const [first, ...rest] = told;
  if (first === undefined) return {};
  const fill = ({ peak, limit }: WorkerTold): number => (limit > 0 ? peak / limit : 0);
  const fullest = rest.reduce(
    (most, one) => (fill(one) > fill(most) || (fill(one) === fill(most) && one.peak > most.peak) ? one : most),
    first,
  );
  const sum = (of: (one: WorkerTold) => number): number => told.reduce((total, one) => total + of(one), 0);
  return {
    worked: {
      cpu: sum(({ cpu }) => cpu),
      threadSeconds: sum(({ threadSeconds }) => threadSeconds),
      threads: sum(({ threads }) => threads),
      peak: fullest.peak,
      limit: fullest.limit,
    },
  };
}
