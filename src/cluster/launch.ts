import type { Granted } from "../batch/granted.ts";
import type { ClusterRecord } from "../dask/scheduler-file.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import type { Channel } from "../protocol/channel.ts";
import type { Credentials, FromLeader, PythonReport, RankEvent, ToLeader, ToRank } from "../protocol/messages.ts";
import type { Ending } from "../ui/end.ts";
import type { Log } from "../ui/log.ts";
import type { WaitingFacts } from "../ui/waiting.ts";
import type { Plan } from "./plan.ts";
import { rankOf } from "./rank-table.ts";
import { reduce } from "./reduce.ts";
import {
  absentRanks,
  hasEnded,
  initialState,
  missingWorkers,
  type DeadlineOfLaunch,
  type Effect,
  type EndOfLaunch,
  type FailureReportOfRank,
  type LaunchEvent,
  type SchedulerFacts,
} from "./state.ts";
import type { WorkerFacts } from "./rank-table.ts";
import type { UsageEvent } from "./usage.ts";

export interface Secrets {
  readonly credentials: Credentials | null;
  readonly token: string | null;
}

/** What the launch tells its surroundings; every hook is called at most once unless it says otherwise. */
export interface LaunchHooks {
  /** The scheduler answers: publish it. May throw; the launch then ends with that failure. */
  readonly onScheduler: (scheduler: SchedulerFacts, hosts: readonly string[]) => Promise<void>;
  /** Called for every change of the number of registered workers; `missing` names those that are not, which takes a look at every rank. */
  readonly onWorkers: (
    workers: ReadonlyMap<number, WorkerFacts>,
    expected: number,
    missing: () => readonly string[],
  ) => void;
  /** Called now and then while there is no scheduler. */
  readonly onWaiting: (waiting: Omit<WaitingFacts, "seconds">) => void;
  /** What the client's rank starts, once the scheduler answers. */
  readonly client: (scheduler: SchedulerFacts, sameHost: boolean) => Promise<Extract<ToRank, { t: "client" }>>;
  readonly onClient: (host: string) => void;
  /** The next piece of rank 0's standard input, base64; null at its end. */
  readonly onStdin: () => Promise<string | null>;
  readonly onJupyter: (where: NonNullable<ClusterRecord["jupyter"]>) => void;
  readonly onFailure: (report: FailureReportOfRank) => void;
  readonly onPythons: (reports: readonly PythonReport[]) => void;
  /** Asks the scheduler to retire these workers (addresses): what they hold moves to others first. Resolves when they have left. */
  readonly retire: (addresses: readonly string[]) => Promise<void>;
  /** What the scheduler, or a rank's worker, was used for; comes when they end. */
  readonly onUsage: (rank: number, event: UsageEvent) => void;
  /** The launch ends now; everything published is taken back here. */
  readonly onEnd: (ending: Ending, facts: EndOfLaunch) => Promise<void>;
  /** All hosts are done: rank 0 may leave, with this code if it is the rank that tells it. */
  readonly finished: (code: number) => void;
}

export interface LaunchContext {
  readonly plan: Plan;
  readonly folder: string;
  readonly schedulerFile: string;
  readonly secrets: Promise<Secrets>;
  /** What the job was granted on a host, as far as its batch system tells; never rejects. */
  readonly granted: Promise<(host: string) => Granted | undefined>;
  readonly waitWorkers: number | "all";
  /** Workers are called by their ranks' numbers. */
  readonly namedByRank: boolean;
  /** Seconds. */
  readonly startTimeout: number;
  readonly grace: number;
  readonly scriptName: string;
  readonly jupyter: boolean;
  /** The script talks with somebody on a terminal: Ctrl-C is its own while it runs. */
  readonly prompt: boolean;
  readonly idleTimeout: number | undefined;
  /** For a launch that joins: the scheduler to join. */
  readonly join: Promise<SchedulerFacts> | undefined;
  readonly log: Log;
  readonly hooks: LaunchHooks;
}

export interface Launch {
  /** Takes a host whose leader has proved that it belongs to this launch. */
  readonly attach: (channel: Channel<ToLeader, FromLeader>, host: string, rank: number) => void;
  /** Ends the launch for a reason that comes from outside the ranks (a failure on rank 0, the walltime). */
  readonly end: (ending: Ending, code: number) => void;
  readonly fail: (failure: Failure) => void;
  /**
   * The job's time is nearly over. A launch that joined retires its workers, so that their results move to others, and
   * leaves; one that has the scheduler itself tells the script (SIGTERM) and ends after the grace period.
   */
  readonly leave: () => void;
  /** A signal that rank 0 got. */
  readonly interrupt: (signal: string) => void;
}

/** While there is no scheduler, people are told this often (ms) what is missing. */
const waitingEvery = 10_000;
/** How long (ms) after the scheduler answers the dashboard is loaded with nobody waiting for workers. */
const dashboardAfter = 3_000;
/** How long (ms) the end of a scheduler, which takes its workers first, may be behind theirs. */
const causeWithin = 500;

/**
 * Is the life of a launch, on rank 0: turns what ranks, timers and hooks say into events, and does what `reduce` makes of them. It decides
 * nothing itself.
 */
export function createLaunch(context: LaunchContext): Launch {
  const { plan, hooks, log } = context;
  const expected = plan.workerRanks.length;
  let state = initialState({ ...context, wanted: wantedOf(context), joins: context.join !== undefined });
  const channels: Channel<ToLeader, FromLeader>[] = [];
  const workers = new Map<number, WorkerFacts>();
  const pythons = new Map<string, PythonReport>();
  const began = performance.now();
  const waits: Readonly<Record<DeadlineOfLaunch, number>> = {
    start: context.startTimeout * 1000,
    dashboard: dashboardAfter,
    "too-few": causeWithin,
    "all-lost": causeWithin,
    departed: context.grace * 1000,
    "hosts-done": context.grace * 1000 + deadlines.hostsDone,
  };

  const dispatch = (event: LaunchEvent): void => {
    const [next, effects] = reduce(state, event);
    state = next;
    for (const effect of effects) perform(effect);
  };
  const wait = (deadline: DeadlineOfLaunch): void => {
    const late = (): void => {
      const seconds = Math.round((performance.now() - began) / 1000);
      dispatch({ e: "deadline", deadline, seconds });
    };
    setTimeout(late, waits[deadline]).unref();
  };
  const failed = (error: unknown): void => dispatch({ e: "failed", failure: failureOf(error, state.hosts[0]?.name) });
  const failureOf = (error: unknown, host: string | undefined): Failure =>
    error instanceof Failure
      ? error
      : new Failure("TSD-070", { rank: 0, host, problem: String(error), log: context.folder }, { cause: error });

  const perform = (effect: Effect): void => {
    switch (effect.do) {
      case "send":
        for (const host of effect.hosts) channels[host]?.send(effect.message);
        break;
      case "tell":
        channels[effect.host]?.send({ t: "to-rank", rank: effect.rank, message: effect.message });
        break;
      case "welcome":
        welcome(effect.host);
        break;
      case "publish":
        hooks.onScheduler(effect.scheduler, effect.hosts).then(() => dispatch({ e: "published" }), failed);
        break;
      case "show-workers":
        showWorkers(effect.changed);
        break;
      case "start-client":
        hooks.client(effect.scheduler, effect.sameHost).then(tellClient, failed);
        break;
      case "retire":
        void hooks
          .retire(effect.addresses)
          .catch((error: unknown) => log.warn("the workers could not be retired", { problem: String(error) }))
          .then(() => dispatch({ e: "retired" }));
        break;
      case "report":
        hooks.onFailure(effect.report);
        break;
      case "rank-said":
        heard(effect);
        break;
      case "wait":
        wait(effect.deadline);
        break;
      case "take-back":
        void hooks
          .onEnd(effect.ending, effect.facts)
          .catch((error: unknown) => log.warn("not everything was taken back", { problem: String(error) }))
          .then(() => dispatch({ e: "taken-back" }));
        break;
      case "finish":
        hooks.finished(effect.code);
        break;
      case "log":
        log[effect.level](effect.text, effect.facts);
        break;
    }
  };

  const tellClient = (message: ToRank): void => {
    const rank = plan.clientRank as number;
    const { host } = rankOf(state.ranks, rank);
    if (host !== undefined) channels[host]?.send({ t: "to-rank", rank, message });
  };

  const showWorkers = (changed: number | undefined): void => {
    const worker = changed === undefined ? undefined : rankOf(state.ranks, changed).worker;
    if (worker !== undefined) workers.set(worker.rank, worker);
    else if (changed !== undefined) workers.delete(changed);
    hooks.onWorkers(workers, expected - state.ranks.away, () => missingWorkers(state));
  };

  /** What a rank says that changes nothing in the life of the launch. */
  const heard = ({
    host,
    rank,
    event,
  }: {
    readonly host: string;
    readonly rank: number;
    readonly event: RankEvent;
  }): void => {
    switch (event.k) {
      case "scheduler-usage":
      case "worker-usage":
        hooks.onUsage(rank, event);
        break;
      case "client-started":
        hooks.onClient(host);
        break;
      case "stdin":
        if (rank === plan.clientRank) hooks.onStdin().then((data) => tellClient({ t: "stdin", data }), failed);
        break;
      case "jupyter-ready": {
        const { k: _, ...place } = event;
        hooks.onJupyter({ ...place, node: host });
        break;
      }
      case "note":
        log[event.level](event.text, { rank, host, ...(event.child === true ? { child: true } : {}) });
        break;
      default:
        break;
    }
  };

  const welcome = (host: number): void => {
    const name = state.hosts[host]?.name ?? "";
    Promise.all([context.secrets, context.granted]).then(([{ credentials, token }, granted]) => {
      const { folder, schedulerFile, namedByRank } = context;
      const known = { folder, schedulerFile, credentials, token, granted: granted(name), namedByRank };
      channels[host]?.send({ t: "welcome", ...known });
      dispatch({ e: "welcomed", host });
    }, failed);
  };

  const knowPython = (name: string, report: PythonReport): void => {
    pythons.set(name, report);
    if (hasEnded(state)) return;
    try {
      hooks.onPythons([...pythons.values()]);
    } catch (error) {
      failed(error);
    }
  };

  const attach = (channel: Channel<ToLeader, FromLeader>, name: string, leaderRank: number): void => {
    const host = channels.push(channel) - 1;
    dispatch({ e: "host-joined", name, rank: leaderRank });
    channel.onMessage((message) => {
      if (message.t === "ranks") dispatch({ e: "ranks", host, ranks: message.ranks });
      else if (message.t === "python") knowPython(name, message.report);
      else if (message.t === "event") dispatch({ e: "rank-event", host, rank: message.rank, event: message.event });
      else if (message.t === "gone") dispatch({ e: "rank-gone", host, rank: message.rank });
      else if (message.t === "host-done") dispatch({ e: "host-done", host });
    });
    channel.onClose(() => dispatch({ e: "host-lost", host }));
  };

  const waitTimer = setInterval(() => {
    if (state.scheduler !== undefined || hasEnded(state)) {
      clearInterval(waitTimer);
      return;
    }
    const importing = state.hosts.map(({ name }) => name).filter((name) => !pythons.has(name));
    hooks.onWaiting({ size: plan.size, missing: absentRanks(state), importing, joining: context.join !== undefined });
  }, waitingEvery);
  waitTimer.unref();
  wait("start");
  context.join?.then((facts) => dispatch({ e: "scheduler", facts }), failed);

  return {
    attach,
    end: (ending, code) => dispatch({ e: "end", ending, code }),
    fail: (failure) => dispatch({ e: "failed", failure }),
    leave: () => dispatch({ e: "leave" }),
    interrupt: (signal) => dispatch({ e: "signal", signal }),
  };
}

/** How many workers the script waits for. */
function wantedOf({ plan, waitWorkers }: LaunchContext): number {
  return waitWorkers === "all" ? plan.workerRanks.length : waitWorkers;
}
