import { deadlines } from "../deadlines.ts";
import { exitCodes } from "../errors/exit-codes.ts";
import type { Assign, FromLeader, ToRank } from "../protocol/messages.ts";

/** What the agent of a host is told of it; it does not change. */
export interface HostOptions {
  /** The agent's own rank. */
  readonly rank: number;
  /** Ranks on this host, when the launcher tells. */
  readonly localSize: number | undefined;
  /** The one rank that returns the launch's exit code; the others return 0. */
  readonly resultRank: number;
  readonly clientRank: number | undefined;
  /** Every rank takes part in the launcher's key-value exchange. */
  readonly pmi: boolean;
  /** The ranks' shares are not known before all have come. */
  readonly waitForAll: boolean;
}

interface RankHere {
  /** It has been told, or is about to be told, what to do. */
  readonly assigned: boolean;
  readonly gone: boolean;
}

/**
 * One host of a launch as its agent sees it. Its ranks are *meeting* until the launch ends, it is *ending* until all of
 * them but the client's and the agent's own have left, *cleaning* while the fork server ends, and *done* then.
 */
export interface HostState {
  readonly options: HostOptions;
  readonly phase: "meeting" | "ending" | "cleaning" | "done";
  readonly ranks: ReadonlyMap<number, RankHere>;
  /** The credentials are written down. */
  readonly ready: boolean;
  /** All ranks are here, as far as that matters. */
  readonly complete: boolean;
  readonly scheduler?: string;
  /** With which code, and how many seconds, the launch ends. */
  readonly end?: { readonly code: number; readonly grace: number };
  /** The agent's own rank has nothing left to do. */
  readonly ownDone: boolean;
  readonly hubGone: boolean;
}

export type HostEvent =
  | { readonly e: "met"; readonly rank: number }
  | { readonly e: "gone"; readonly rank: number }
  /** A rank that never met its agent has died. */
  | { readonly e: "died-unseen"; readonly rank: number }
  /** A rank will connect again, as a process of another kind. */
  | { readonly e: "hand-over"; readonly rank: number }
  | { readonly e: "prepared" }
  | { readonly e: "all-here" }
  | { readonly e: "assignment"; readonly rank: number; readonly assign: Assign }
  | { readonly e: "scheduler"; readonly address: string }
  | { readonly e: "end"; readonly code: number; readonly grace: number }
  | { readonly e: "hub-closed" }
  | { readonly e: "own-done" }
  | { readonly e: "cleaned" };

export type HostEffect =
  | { readonly do: "send"; readonly rank: number; readonly message: ToRank }
  | { readonly do: "up"; readonly message: FromLeader }
  /** Work out what a rank is to do. */
  | { readonly do: "assign"; readonly rank: number }
  /** Another rank has come where nobody knows how many there are. */
  | { readonly do: "wait-again" }
  | { readonly do: "stop-missing-ranks" }
  /** End the ranks that are shells, the fork server within `grace` seconds, and remove the host's folder. */
  | { readonly do: "clean"; readonly grace: number }
  | { readonly do: "say-hub-gone" }
  | { readonly do: "finish"; readonly code: number };

export type HostStep = readonly [HostState, readonly HostEffect[]];

export function initialHost(options: HostOptions): HostState {
  return {
    options,
    phase: "meeting",
    ranks: new Map(),
    ready: false,
    complete: !options.waitForAll || options.localSize === 1,
    ownDone: false,
    hubGone: false,
  };
}

/**
 * The life of a host: what it becomes by an event, and what is then to be done. Pure: no clock, no input, no output.
 */
export function reduceHost(state: HostState, event: HostEvent): HostStep {
  switch (event.e) {
    case "met":
      return met(state, event.rank);
    case "gone":
      return gone(state, event.rank);
    case "died-unseen":
      return state.phase === "meeting" && !state.ranks.has(event.rank)
        ? [state, [up({ t: "ranks", ranks: [event.rank] }), up({ t: "gone", rank: event.rank })]]
        : [state, []];
    case "hand-over":
      return [{ ...state, ranks: new Map([...state.ranks].filter(([rank]) => rank !== event.rank)) }, []];
    case "prepared":
      return assignAll({ ...state, ready: true });
    case "all-here":
      return assignAll({ ...state, complete: true });
    case "assignment":
      return [state, assignment(state, event.rank, event.assign)];
    case "scheduler":
      return [{ ...state, scheduler: event.address }, addressFor(state, event.address)];
    case "end":
      return end(state, event.code, event.grace);
    case "hub-closed":
      return hubClosed({ ...state, hubGone: true });
    case "own-done":
      return cleanIfAlone({ ...state, ownDone: true });
    case "cleaned":
      return cleaned(state);
  }
}

const up = (message: FromLeader): HostEffect => ({ do: "up", message });

const withRank = (state: HostState, rank: number, here: RankHere): HostState => ({
  ...state,
  ranks: new Map(state.ranks).set(rank, here),
});

function met(before: HostState, rank: number): HostStep {
  if (before.ranks.has(rank)) return [before, []];
  const { pmi, localSize } = before.options;
  const here = withRank(before, rank, { assigned: false, gone: false });
  const state: HostState = here.ranks.size === localSize ? { ...here, complete: true } : here;
  const effects: HostEffect[] = [
    ...(pmi ? [{ do: "send", rank, message: { t: "pmi" } } as const] : []),
    up({ t: "ranks", ranks: [rank], of: localSize }),
  ];
  if (state.end !== undefined) return [state, [...effects, { do: "send", rank, message: endFor(state, rank) }]];
  const [next, more] = assignAll(state);
  const again: HostEffect[] = localSize === undefined && !state.complete ? [{ do: "wait-again" }] : [];
  return [next, [...effects, ...again, ...more]];
}

/** Has all ranks assigned that wait for it, once the host is ready and complete. */
function assignAll(state: HostState): HostStep {
  if (!state.ready || !state.complete || state.end !== undefined) return [state, []];
  const waiting = [...state.ranks].filter(([, { assigned }]) => !assigned).map(([rank]) => rank);
  if (waiting.length === 0) return [state, []];
  const ranks = new Map([...state.ranks].map(([rank, here]) => [rank, { ...here, assigned: true }]));
  return [{ ...state, ranks }, waiting.map((rank) => ({ do: "assign", rank }))];
}

function assignment(state: HostState, rank: number, assign: Assign): HostEffect[] {
  const messages: ToRank[] = [assign];
  if (state.scheduler !== undefined) messages.push({ t: "address", scheduler: state.scheduler });
  if (state.end !== undefined) messages.push(endFor(state, rank));
  return messages.map((message) => ({ do: "send", rank, message }));
}

const addressFor = ({ ranks }: HostState, scheduler: string): HostEffect[] =>
  [...ranks].flatMap(([rank, { assigned }]) =>
    assigned ? { do: "send" as const, rank, message: { t: "address" as const, scheduler } } : [],
  );

function gone(before: HostState, rank: number): HostStep {
  const here = before.ranks.get(rank);
  if (here === undefined || here.gone) return [before, []];
  const [state, effects] = cleanIfAlone(withRank(before, rank, { ...here, gone: true }));
  return [state, before.phase === "meeting" ? [up({ t: "gone", rank }), ...effects] : effects];
}

const codeOf = ({ options, end }: HostState, rank: number): number =>
  rank === options.resultRank ? (end?.code ?? 0) : 0;

const endFor = (state: HostState, rank: number): ToRank => ({
  t: "end",
  code: codeOf(state, rank),
  grace: state.end?.grace ?? 0,
});

function end(before: HostState, code: number, grace: number): HostStep {
  if (before.phase !== "meeting") return [before, []];
  const state: HostState = { ...before, phase: "ending", end: { code, grace } };
  const told = [...state.ranks.keys()].map((rank): HostEffect => ({ do: "send", rank, message: endFor(state, rank) }));
  const [next, more] = cleanIfAlone(state);
  return [next, [{ do: "stop-missing-ranks" }, ...told, ...more]];
}

/**
 * Cleans up when everybody else has left. The client's rank stays until then, and lets its script end: the fork server
 * waits for that.
 */
function cleanIfAlone(state: HostState): HostStep {
  const { rank: own, clientRank } = state.options;
  const others = [...state.ranks].some(([rank, here]) => !here.gone && rank !== clientRank && rank !== own);
  if (state.phase !== "ending" || !state.ownDone || others) return [state, []];
  return [{ ...state, phase: "cleaning" }, [{ do: "clean", grace: state.end?.grace ?? 0 }]];
}

function cleaned(before: HostState): HostStep {
  if (before.phase !== "cleaning") return [before, []];
  const state: HostState = { ...before, phase: "done" };
  const { rank, clientRank } = state.options;
  // Rank 0 leaves when all hosts are done. With the client's rank here, the host stays until the hub has left.
  const stays = rank === 0 || (clientRank !== undefined && state.ranks.has(clientRank) && !state.hubGone);
  return [state, [up({ t: "host-done" }), ...(stays ? [] : [{ do: "finish", code: codeOf(state, rank) } as const])]];
}

function hubClosed(state: HostState): HostStep {
  const { rank } = state.options;
  if (state.phase === "done") return [state, rank === 0 ? [] : [{ do: "finish", code: codeOf(state, rank) }]];
  if (state.phase !== "meeting") return [state, []];
  const [next, effects] = end(state, exitCodes.schedulerLost, deadlines.scriptAfterLoss / 1000);
  return [next, [{ do: "say-hub-gone" }, ...effects]];
}
