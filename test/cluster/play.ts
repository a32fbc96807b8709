import { plan as planRoles } from "../../src/cluster/plan.ts";
import { reduce } from "../../src/cluster/reduce.ts";
import {
  initialState,
  type Effect,
  type LaunchEvent,
  type LaunchOptions,
  type LaunchState,
} from "../../src/cluster/state.ts";
import type { CloseReason } from "../../src/protocol/fork-server.ts";
import type { RankEvent } from "../../src/protocol/messages.ts";

/** Scheduler 0, script 1, workers 2 and 3, on two hosts: ranks 0 and 1, and ranks 2 and 3. */
export const options = (more: Partial<LaunchOptions> & { client?: boolean } = {}): LaunchOptions => {
  const { client = true, ...rest } = more;
  const plan = planRoles({
    size: 4,
    scheduler: !(rest.joins ?? false),
    schedulerRank: 0,
    client,
    exclusiveWorkers: true,
  });
  return {
    plan,
    wanted: client ? 2 : 0,
    startTimeout: 120,
    grace: 5,
    scriptName: "script.py",
    jupyter: false,
    prompt: false,
    idleTimeout: undefined,
    joins: false,
    folder: "/f",
    ...rest,
  };
};

/** Applies events to a launch, and keeps all effects. */
export function play(events: readonly LaunchEvent[], from: LaunchState = initialState(options())) {
  let state = from;
  const effects: Effect[] = [];
  for (const event of events) {
    const [next, more] = reduce(state, event);
    state = next;
    effects.push(...more);
  }
  const codes = effects.flatMap((effect) => (effect.do === "report" ? effect.report.code : []));
  const of = <K extends Effect["do"]>(kind: K): Extract<Effect, { do: K }>[] =>
    effects.filter((effect): effect is Extract<Effect, { do: K }> => effect.do === kind);
  return { state, effects, codes, of };
}

export const said = (host: number, rank: number, event: RankEvent): LaunchEvent => ({
  e: "rank-event",
  host,
  rank,
  event,
});
export const joined: readonly LaunchEvent[] = [
  { e: "host-joined", name: "a", rank: 0 },
  { e: "ranks", host: 0, ranks: [1] },
  { e: "host-joined", name: "b", rank: 2 },
  { e: "ranks", host: 1, ranks: [3] },
];
export const ready = said(0, 0, { k: "scheduler-ready", address: "tls://a:1", identity: {}, dashboard: 8787 });
export const worker = (rank: number): LaunchEvent =>
  said(1, rank, {
    k: "worker-ready",
    address: `tls://b:${rank}`,
    name: `w-${rank}`,
    dashboard: null,
    nthreads: 1,
    memoryLimit: 1,
    pid: rank,
  });
export const up: readonly LaunchEvent[] = [...joined, ready, { e: "published" }, worker(2), worker(3)];
export const exit = (code: number, signal?: string): LaunchEvent =>
  said(0, 1, { k: "client-exit", code, ...(signal === undefined ? {} : { signal }) });
export const schedulerExit = (code: number | null, why = "closed", reason?: CloseReason): LaunchEvent =>
  said(0, 0, { k: "scheduler-exit", code, signal: null, why, ...(reason === undefined ? {} : { reason }) });
export const schedulerRestarts = said(0, 0, {
  k: "scheduler-exit",
  code: null,
  signal: 9,
  why: "killed",
  restarting: true,
});
export const waits = (rank: number): LaunchEvent => said(1, rank, { k: "worker-waits" });
export const late = (deadline: Extract<LaunchEvent, { e: "deadline" }>["deadline"]): LaunchEvent => ({
  e: "deadline",
  deadline,
  seconds: 7,
});
export const away = (rank: number, why: CloseReason): LaunchEvent => said(1, rank, { k: "worker-away", why });
export const over: readonly LaunchEvent[] = [
  { e: "taken-back" },
  { e: "host-done", host: 0 },
  { e: "host-done", host: 1 },
];
