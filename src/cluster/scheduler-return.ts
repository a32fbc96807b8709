import type { RankEvent } from "../protocol/messages.ts";
import { knownRanks, rankOf, withRank } from "./rank-table.ts";
import type { Effect, LaunchState } from "./state.ts";

type Exit = Extract<RankEvent, { k: "scheduler-exit" }>;

/**
 * The scheduler has died and its rank starts another one: no worker is registered with that yet. A script that waits
 * for workers gets its time anew when the scheduler answers.
 */
export function schedulerStartsAgain(
  before: LaunchState,
  { why }: Pick<Exit, "why">,
  rank: number,
  host: string,
): readonly [LaunchState, readonly Effect[]] {
  const { scheduler: _, ...known } = before;
  const lost = [...knownRanks(before.ranks)].flatMap(([one, { worker }]) => (worker === undefined ? [] : one));
  const { start, schedulerBack } = before.pending;
  const state: LaunchState = {
    ...known,
    ranks: lost.reduce((table, one) => withoutWorker(table, one), before.ranks),
    dashboardLoaded: false,
    schedulerRestarts: before.schedulerRestarts + 1,
    pending: { start: start + 1, schedulerBack: schedulerBack + 1 },
  };
  const facts = { rank, host, why };
  return [
    state,
    [
      { do: "log", level: "warn", text: "the scheduler was lost and is started again", facts },
      { do: "report", report: { code: "TSD-190", facts, rank, host } },
      ...lost.map((changed) => ({ do: "show-workers", changed }) as const),
      { do: "wait", deadline: "scheduler-back" },
    ],
  ];
}

/** A worker that has lost its scheduler is no member of the cluster until it has registered with the next one. */
export function workerWaits(before: LaunchState, rank: number): readonly [LaunchState, readonly Effect[]] {
  const state: LaunchState = { ...before, ranks: withoutWorker(before.ranks, rank) };
  const shown: Effect = { do: "show-workers", changed: rank };
  if (!before.options.joins || before.seeking) return [state, [shown]];
  return [{ ...state, seeking: true }, [shown, { do: "seek" }]];
}

function withoutWorker(table: LaunchState["ranks"], rank: number): LaunchState["ranks"] {
  const { worker: _, ...known } = rankOf(table, rank);
  return withRank(table, rank, known);
}
