import { Failure, type Facts } from "../errors/failure.ts";
import type { MessageCode } from "../errors/messages.ts";
import type { RankEvent, ToLeader, ToRank } from "../protocol/messages.ts";
import type { Ending } from "../ui/end.ts";
import type { Plan } from "./plan.ts";
import { emptyTable, knownRanks, rankOf, type RankTable, type WorkerFacts } from "./rank-table.ts";

export interface SchedulerFacts {
  readonly address: string;
  readonly identity: Readonly<Record<string, unknown>>;
  readonly dashboard: number | null;
  /** Whether the dashboard is served over TLS. */
  readonly https?: boolean;
  readonly host: string;
}

/** What is known as a launch ends. */
export interface EndOfLaunch {
  readonly code: number;
  /** How many workers were there at once, at most. */
  readonly workers: number;
  /** How often a worker that was lost was started again. */
  readonly restarts: number;
  /** The ranks that are about to say what their workers used. */
  readonly telling: readonly number[];
  /** Whether the scheduler is about to say what it was used for. */
  readonly schedulerTells: boolean;
  /** It was told to end, or lost a part: who told it may not wait for long. */
  readonly inHaste: boolean;
  /** Hosts are still to come, and find rank 0 by what is in the launch's folder. */
  readonly hostsToCome: boolean;
}

/** What a launch is asked to do; it does not change. */
export interface LaunchOptions {
  readonly plan: Plan;
  /** How many workers the script waits for. */
  readonly wanted: number;
  /** Seconds. */
  readonly startTimeout: number;
  readonly grace: number;
  readonly scriptName: string;
  readonly jupyter: boolean;
  /** The script talks with somebody on a terminal: Ctrl-C is its own while it runs. */
  readonly prompt: boolean;
  readonly idleTimeout: number | undefined;
  /** The ranks join a cluster that runs. */
  readonly joins: boolean;
  /** The launch's folder, for a message. */
  readonly folder: string;
}

export interface HostState {
  readonly name: string;
  /** Nothing of the launch runs there any more. */
  readonly done: boolean;
  /** How many ranks it has, where it knows. */
  readonly of?: number;
}

/** What is so in every phase of a launch. */
interface Known {
  readonly options: LaunchOptions;
  /** By number, in the order in which they joined. */
  readonly hosts: readonly HostState[];
  readonly ranks: RankTable;
  /** The scheduler, once it answers. */
  readonly scheduler?: SchedulerFacts;
  /** It closed in order. */
  readonly schedulerClosed: boolean;
  /** Its process is gone, in order or not. */
  readonly schedulerOver: boolean;
  readonly dashboardLoaded: boolean;
  readonly client: "none" | "waiting" | "started" | "over";
  readonly everRegistered: number;
  readonly restarts: number;
  /** How often the scheduler was started again. */
  readonly schedulerRestarts: number;
  /** The deadlines of each kind that are still to come: only the last one counts. */
  readonly pending: { readonly start: number; readonly schedulerBack: number };
  /** A launch that joined looks for its cluster's scheduler. */
  readonly seeking: boolean;
}

/**
 * The state of a launch as rank 0 sees it. It is *forming* until the scheduler answers, *running* then, *departing*
 * while it takes its leave of a script or of a cluster that it joined, *ending* from the moment that its exit code is
 * known, and *done* when all hosts are.
 */
export type LaunchState = Known &
  (
    | { readonly phase: "forming" | "running" }
    /** The workers that go now are no loss. */
    | { readonly phase: "departing"; readonly ending: Ending; readonly code: number }
    /**
     * `takenBack`: what was published is gone again. `waits`: hosts that are still to come are to hear of the end, and
     * their ranks to have its code. `cancels`: worker jobs are listed, and what is taken back includes them.
     */
    | {
        readonly phase: "ending";
        readonly code: number;
        readonly takenBack: boolean;
        readonly waits: boolean;
        readonly cancels: boolean;
      }
    | { readonly phase: "done"; readonly code: number }
  );

/** What happens to a launch. Deadlines are events too: `seconds` is how long the launch has run. */
export type LaunchEvent =
  | { readonly e: "host-joined"; readonly name: string; readonly rank: number }
  /** `of`: how many ranks that host has, where it knows. */
  | { readonly e: "ranks"; readonly host: number; readonly ranks: readonly number[]; readonly of?: number | undefined }
  | { readonly e: "rank-event"; readonly host: number; readonly rank: number; readonly event: RankEvent }
  | { readonly e: "rank-gone"; readonly host: number; readonly rank: number }
  | { readonly e: "host-done"; readonly host: number }
  /** The connection to a host's agent has closed, whether it was done or not. */
  | { readonly e: "host-lost"; readonly host: number }
  /** The host may be told what the launch knows by now. */
  | { readonly e: "welcomed"; readonly host: number }
  | { readonly e: "scheduler"; readonly facts: SchedulerFacts }
  | { readonly e: "published" }
  /** What has come of the search for a joined cluster's scheduler. */
  | { readonly e: "sought"; readonly address: string | undefined }
  | { readonly e: "failed"; readonly failure: Failure }
  | { readonly e: "end"; readonly ending: Ending; readonly code: number }
  | { readonly e: "signal"; readonly signal: string }
  /** The job's time is nearly over. */
  | { readonly e: "leave" }
  | { readonly e: "retired" }
  | { readonly e: "taken-back" }
  /** There are worker jobs to be cancelled, and a batch system may take longer than the hosts. */
  | { readonly e: "jobs-listed" }
  | { readonly e: "deadline"; readonly deadline: DeadlineOfLaunch; readonly seconds: number };

/** The deadlines that the reducer sets; `deadlines` of the controller says how long each is. */
export type DeadlineOfLaunch =
  | "start"
  /** The scheduler that was started again answers. */
  | "scheduler-back"
  /** With nobody waiting for workers, the dashboard is loaded so long after the scheduler answers, at the latest. */
  | "dashboard"
  /** A scheduler that is going takes its workers first: its own end is the cause, and on its way. */
  | "too-few"
  | "all-lost"
  /** The script has had its grace. */
  | "departed"
  /** The hosts have had the grace, and some more. */
  | "hosts-done"
  /** The worker jobs are cancelled, where some are listed. */
  | "jobs-cancelled";

export interface FailureReportOfRank {
  readonly code: MessageCode;
  readonly facts: Facts;
  readonly rank?: number;
  readonly host?: string;
}

/** What is to be done after an event, in this order. */
export type Effect =
  | { readonly do: "send"; readonly hosts: readonly number[]; readonly message: ToLeader }
  | { readonly do: "tell"; readonly host: number; readonly rank: number; readonly message: ToRank }
  | { readonly do: "welcome"; readonly host: number }
  | { readonly do: "publish"; readonly scheduler: SchedulerFacts; readonly hosts: readonly string[] }
  /** Another scheduler answers in the place of one that died: what is published of it follows. */
  | { readonly do: "renew"; readonly scheduler: SchedulerFacts; readonly hosts: readonly string[] }
  /** Look for the scheduler of the cluster that was joined. */
  | { readonly do: "seek" }
  | { readonly do: "show-workers"; readonly changed?: number }
  | { readonly do: "start-client"; readonly scheduler: SchedulerFacts; readonly sameHost: boolean }
  | { readonly do: "retire"; readonly addresses: readonly string[] }
  | { readonly do: "report"; readonly report: FailureReportOfRank }
  | { readonly do: "rank-said"; readonly host: string; readonly rank: number; readonly event: RankEvent }
  | { readonly do: "wait"; readonly deadline: DeadlineOfLaunch }
  | { readonly do: "take-back"; readonly ending: Ending; readonly facts: EndOfLaunch }
  | { readonly do: "finish"; readonly code: number }
  | {
      readonly do: "log";
      readonly level: "info" | "warn";
      readonly text: string;
      readonly facts: Readonly<Record<string, unknown>>;
    };

export function initialState(options: LaunchOptions): LaunchState {
  return {
    phase: "forming",
    options,
    hosts: [],
    ranks: emptyTable,
    schedulerClosed: false,
    schedulerOver: false,
    dashboardLoaded: false,
    client: options.plan.clientRank === undefined ? "none" : "waiting",
    everRegistered: 0,
    restarts: 0,
    schedulerRestarts: 0,
    pending: { start: 1, schedulerBack: 0 },
    seeking: false,
  };
}

/** Whether the launch's exit code is known. */
export function hasEnded(state: LaunchState): state is Extract<LaunchState, { readonly phase: "ending" | "done" }> {
  return state.phase === "ending" || state.phase === "done";
}

/** Whether the launch neither ends nor takes its leave. */
export const isOpen = ({ phase }: LaunchState): boolean => phase === "forming" || phase === "running";

/** The worker ranks without a registered worker, as people call them. */
export function missingWorkers({ options, ranks, hosts }: LaunchState): string[] {
  return options.plan.workerRanks.flatMap((rank) => {
    const { worker, host, away } = rankOf(ranks, rank);
    if (worker !== undefined) return [];
    const left = away?.left === undefined ? "" : ` (it left: ${away.left})`;
    return host === undefined ? `rank ${rank}` : `rank ${rank} on ${hosts[host]?.name}${left}`;
  });
}

/** The ranks that nobody has seen yet. */
export function absentRanks({ options, ranks }: LaunchState): number[] {
  return Array.from({ length: options.plan.size }, (_, rank) => rank).filter(
    (rank) => rankOf(ranks, rank).host === undefined,
  );
}

/** The name of the host that has this rank and has not left; undefined where none has. */
export function holderOf({ ranks, hosts }: LaunchState, rank: number): string | undefined {
  const { host, gone } = rankOf(ranks, rank);
  const holder = host === undefined || gone === true ? undefined : hosts[host];
  return holder?.done === false ? holder.name : undefined;
}

/**
 * Whether hosts are still to come: those that have joined all say how many ranks they have, and that is not all of
 * them. A host whose launcher counts too few has been seen with more.
 */
export function hostsToCome({ options, ranks, hosts }: LaunchState): boolean {
  const seen = new Map<number, number>();
  for (const [, { host }] of knownRanks(ranks)) if (host !== undefined) seen.set(host, (seen.get(host) ?? 0) + 1);
  let there = 0;
  for (const [number, { of }] of hosts.entries()) {
    if (of === undefined) return false;
    there += Math.max(of, seen.get(number) ?? 0);
  }
  return there < options.plan.size;
}

/** The workers that are registered. */
export function registeredWorkers({ ranks }: LaunchState): WorkerFacts[] {
  return [...knownRanks(ranks)].flatMap(([, { worker }]) => worker ?? []);
}

/** Whether the script waits for workers that cannot come any more. */
export function tooFewCanCome(state: LaunchState): boolean {
  const { options, ranks, client, schedulerClosed } = state;
  const expected = options.plan.workerRanks.length;
  return (
    client === "waiting" &&
    isOpen(state) &&
    !schedulerClosed &&
    options.wanted <= expected &&
    options.wanted > expected - ranks.away
  );
}

/** TSD-053: not as many workers as are waited for. */
export function notEnough(state: LaunchState, seconds: number): Failure {
  return new Failure("TSD-053", {
    seconds,
    registered: state.ranks.registered,
    wanted: Math.max(1, state.options.wanted),
    missing:
      missingWorkers(state).slice(0, 10).join(", ") || "those of another launch, for which this one has no ranks",
  });
}
