import type { Granted } from "../batch/granted.ts";
import type { ClusterRecord } from "../dask/scheduler-file.ts";
import { deadlines } from "../deadlines.ts";
import { exitCodes } from "../errors/exit-codes.ts";
import { Failure } from "../errors/failure.ts";
import type { Channel } from "../protocol/channel.ts";
import type { Credentials, FromLeader, PythonReport, ToLeader, ToRank } from "../protocol/messages.ts";
import { callAfter, pauseFor } from "../timers.ts";
import type { Ending } from "../ui/end.ts";
import type { Log } from "../ui/log.ts";
import type { WaitingFacts } from "../ui/waiting.ts";
import type { Plan } from "./plan.ts";
import { rankOf } from "./rank-table.ts";
import { reduce } from "./reduce.ts";
import {
  absentRanks,
  hasEnded,
  holderOf,
  initialState,
  missingWorkers,
  type DeadlineOfLaunch,
  type Effect,
  type EndOfLaunch,
  type FailureReportOfRank,
  type HostState,
  type LaunchEvent,
  type LaunchState,
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
  /** Everything that happens, with the hosts by number: for the record. */
  readonly onEvent?: (event: LaunchEvent, hosts: readonly HostState[]) => void;
  /**
   * The script is over, or all workers are lost; the launch hears of it when this has resolved, with scheduler and
   * workers as they were until then. Never rejects.
   */
  readonly lastLook?: (event: LaunchEvent) => Promise<void>;
  /** The scheduler answers: publish it. May throw; the launch then ends with that failure. */
  readonly onScheduler: (scheduler: SchedulerFacts, hosts: readonly string[]) => Promise<void>;
  /** Another scheduler answers in the place of one that died. Called for each. */
  readonly onSchedulerBack: (scheduler: SchedulerFacts, hosts: readonly string[]) => Promise<void>;
  /**
   * The joined cluster's scheduler does not answer: resolves to its address when it does again, to undefined when it
   * will not. Called whenever that happens.
   */
  readonly seek: () => Promise<string | undefined>;
  /**
   * Called for every change of the number of registered workers; `missing` names those that are not, which takes a look
   * at every rank.
   */
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
  /**
   * Asks the scheduler to retire these workers (addresses): what they hold moves to others first. Resolves when they
   * have left.
   */
  readonly retire: (addresses: readonly string[]) => Promise<void>;
  /** What the scheduler, or a rank's worker, was used for; comes when they end. */
  readonly onUsage: (rank: number, event: UsageEvent) => void;
  /**
   * The launch ends now; everything published is taken back here. `jobsListed` says that worker jobs are among it,
   * which has a deadline of its own.
   */
  readonly onEnd: (ending: Ending, facts: EndOfLaunch, jobsListed: () => void) => Promise<void>;
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
  /**
   * Whether the scheduler, of this launch or of the cluster that it joins, is started again when it dies; rejects as
   * `secrets` does.
   */
  readonly schedulerReturns: Promise<boolean>;
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
  /** Takes a host whose leader has proved that it belongs to this launch. `of`: how many ranks it has, where known. */
  readonly attach: (channel: Channel<ToLeader, FromLeader>, host: string, rank: number, of?: number) => void;
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

/**
 * Is the life of a launch, on rank 0: turns what ranks, timers and hooks say into events, and does what `reduce` makes
 * of them. It decides nothing itself.
 */
export function createLaunch(context: LaunchContext): Launch {
  const controller = new LaunchController(context);
  controller.start();
  return {
    attach: (channel, name, rank, of) => controller.attach(channel, name, rank, of),
    end: (ending, code) => controller.dispatch({ e: "end", ending, code }),
    fail: (failure) => controller.dispatch({ e: "failed", failure }),
    leave: () => controller.dispatch({ e: "leave" }),
    interrupt: (signal) => controller.dispatch({ e: "signal", signal }),
  };
}

class LaunchController {
  readonly #context: LaunchContext;
  readonly #waits: Readonly<Record<DeadlineOfLaunch, number>>;
  readonly #channels: Channel<ToLeader, FromLeader>[] = [];
  readonly #workers = new Map<number, WorkerFacts>();
  readonly #pythons = new Map<string, PythonReport>();
  readonly #began = performance.now();
  #state: LaunchState;
  /** Over when the newest publication is. */
  #publishing = Promise.resolve();

  constructor(context: LaunchContext) {
    this.#context = context;
    this.#state = initialState({ ...context, wanted: wantedOf(context), joins: context.join !== undefined });
    this.#waits = {
      start: context.startTimeout * 1000,
      "scheduler-back": deadlines.schedulerBack,
      dashboard: deadlines.dashboard,
      "too-few": deadlines.schedulerCause,
      "all-lost": deadlines.schedulerCause,
      departed: context.grace * 1000,
      "hosts-done": context.grace * 1000 + deadlines.hostsDone,
      "jobs-cancelled": Math.max(context.grace * 1000, deadlines.jobsCancelled) + deadlines.hostsDone,
    };
  }

  start(): void {
    const timer = setInterval(() => {
      // The workers' own line says which of them are missing; of the script's rank it says nothing.
      const begun = this.#state.scheduler !== undefined && !this.#scriptIsMissing();
      if (begun || hasEnded(this.#state)) clearInterval(timer);
      else this.#showWaiting();
    }, waitingEvery);
    timer.unref();
    this.#wait("start");
    this.#context.join?.then((facts) => this.dispatch({ e: "scheduler", facts }), this.#failed);
  }

  attach(channel: Channel<ToLeader, FromLeader>, name: string, leaderRank: number, of?: number): void {
    const holder = holderOf(this.#state, leaderRank);
    if (holder !== undefined && holder !== name) {
      this.#refuse(channel, { host: name, rank: leaderRank, holder });
      return;
    }
    const host = this.#channels.push(channel) - 1;
    this.dispatch({ e: "host-joined", name, rank: leaderRank });
    if (of !== undefined) this.dispatch({ e: "ranks", host, ranks: [], of });
    channel.onMessage((message) => {
      if (message.t === "ranks") this.dispatch({ e: "ranks", host, ranks: message.ranks, of: message.of });
      else if (message.t === "python") this.#knowPython(name, message.report);
      else if (message.t === "event")
        this.#rankSaid({ e: "rank-event", host, rank: message.rank, event: message.event });
      else if (message.t === "gone") this.dispatch({ e: "rank-gone", host, rank: message.rank });
      else if (message.t === "host-done") this.dispatch({ e: "host-done", host });
    });
    channel.onClose(() => this.dispatch({ e: "host-lost", host }));
  }

  /** A host of another launch that found this one's hub under the same id is told to end. */
  #refuse(channel: Channel<ToLeader, FromLeader>, facts: Readonly<Record<string, string | number>>): void {
    this.#context.log.warn("a host of another launch with the same id was turned away", facts);
    channel.onMessage(({ t }) => {
      if (t === "host-done") channel.close();
    });
    channel.send({ t: "end", code: exitCodes.usage, grace: 0 });
  }

  dispatch(event: LaunchEvent): void {
    const [next, effects] = reduce(this.#state, event);
    this.#state = next;
    this.#context.hooks.onEvent?.(event, next.hosts);
    for (const effect of effects) this.#perform(effect);
  }

  #rankSaid(event: Extract<LaunchEvent, { e: "rank-event" }>): void {
    if (event.event.k === "client-exit") this.#afterLook(event);
    else this.dispatch(event);
  }

  /** What ends the launch: the report's last look comes before it. */
  #afterLook(event: LaunchEvent): void {
    const { lastLook } = this.#context.hooks;
    if (lastLook === undefined || hasEnded(this.#state)) this.dispatch(event);
    else void lastLook(event).then(() => this.dispatch(event));
  }

  #perform(effect: Effect): void {
    const { hooks, log } = this.#context;
    switch (effect.do) {
      case "send":
        for (const host of effect.hosts) this.#channels[host]?.send(effect.message);
        break;
      case "tell":
        this.#channels[effect.host]?.send({ t: "to-rank", rank: effect.rank, message: effect.message });
        break;
      case "welcome":
        this.#welcome(effect.host);
        break;
      case "publish":
        this.#publishes(hooks.onScheduler(effect.scheduler, effect.hosts));
        break;
      case "renew":
        this.#publishes(this.#publishing.then(() => hooks.onSchedulerBack(effect.scheduler, effect.hosts)));
        break;
      case "seek":
        hooks.seek().then((address) => this.dispatch({ e: "sought", address }), this.#failed);
        break;
      case "show-workers":
        this.#showWorkers(effect.changed);
        break;
      case "start-client":
        hooks.client(effect.scheduler, effect.sameHost).then(this.#tellClient, this.#failed);
        break;
      case "retire":
        void hooks
          .retire(effect.addresses)
          .catch((error: unknown) => log.warn("the workers could not be retired", { problem: String(error) }))
          .then(() => this.dispatch({ e: "retired" }));
        break;
      case "report":
        hooks.onFailure(effect.report);
        break;
      case "rank-said":
        this.#heard(effect);
        break;
      case "wait":
        this.#wait(effect.deadline);
        break;
      case "take-back":
        void Promise.race([this.#publishing.catch(() => undefined), pauseFor(deadlines.published)])
          .then(() => hooks.onEnd(effect.ending, effect.facts, () => this.dispatch({ e: "jobs-listed" })))
          .catch((error: unknown) => log.warn("not everything was taken back", { problem: String(error) }))
          .then(() => this.dispatch({ e: "taken-back" }));
        break;
      case "finish":
        hooks.finished(effect.code);
        break;
      case "log":
        log[effect.level](effect.text, effect.facts);
        break;
    }
  }

  #wait(deadline: DeadlineOfLaunch): void {
    const late = (): void => {
      const seconds = Math.round((performance.now() - this.#began) / 1000);
      const event = { e: "deadline", deadline, seconds } as const;
      if (deadline === "all-lost") this.#afterLook(event);
      else this.dispatch(event);
    };
    callAfter(this.#waits[deadline], late, { ref: false });
  }

  readonly #failed = (error: unknown): void => {
    const facts = { rank: 0, host: this.#state.hosts[0]?.name, problem: String(error), log: this.#context.folder };
    const failure = error instanceof Failure ? error : new Failure("TSD-070", facts, { cause: error });
    this.dispatch({ e: "failed", failure });
  };

  readonly #tellClient = (message: ToRank): void => {
    const rank = this.#context.plan.clientRank as number;
    const { host } = rankOf(this.#state.ranks, rank);
    if (host !== undefined) this.#channels[host]?.send({ t: "to-rank", rank, message });
  };

  #scriptIsMissing(): boolean {
    const { clientRank } = this.#context.plan;
    return clientRank !== undefined && absentRanks(this.#state).includes(clientRank);
  }

  #showWaiting(): void {
    const { hooks, plan, join } = this.#context;
    const importing = this.#state.hosts.map(({ name }) => name).filter((name) => !this.#pythons.has(name));
    hooks.onWaiting({ size: plan.size, missing: absentRanks(this.#state), importing, joining: join !== undefined });
  }

  #showWorkers(changed: number | undefined): void {
    const { hooks, plan } = this.#context;
    const worker = changed === undefined ? undefined : rankOf(this.#state.ranks, changed).worker;
    if (worker !== undefined) this.#workers.set(worker.rank, worker);
    else if (changed !== undefined) this.#workers.delete(changed);
    const expected = plan.workerRanks.length - this.#state.ranks.away;
    hooks.onWorkers(this.#workers, expected, () => missingWorkers(this.#state));
  }

  /** What a rank says that changes nothing in the life of the launch. */
  #heard({ host, rank, event }: Extract<Effect, { do: "rank-said" }>): void {
    const { hooks, log, plan } = this.#context;
    switch (event.k) {
      case "scheduler-usage":
      case "worker-usage":
        hooks.onUsage(rank, event);
        break;
      case "client-started":
        hooks.onClient(host);
        break;
      case "stdin":
        if (rank === plan.clientRank)
          hooks.onStdin().then((data) => this.#tellClient({ t: "stdin", data }), this.#failed);
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
  }

  #publishes(done: Promise<void>): void {
    this.#publishing = done;
    done.then(() => this.dispatch({ e: "published" }), this.#failed);
  }

  #welcome(host: number): void {
    const name = this.#state.hosts[host]?.name ?? "";
    const { plan, secrets, granted, schedulerReturns, folder, schedulerFile, namedByRank } = this.#context;
    const clientRank = plan.clientRank ?? null;
    Promise.all([secrets, granted, schedulerReturns])
      .then(([{ credentials, token }, grantedTo, returns]) => {
        const own = { folder, schedulerFile, credentials, token };
        const known = { ...own, granted: grantedTo(name), namedByRank, clientRank, schedulerReturns: returns };
        this.#channels[host]?.send({ t: "welcome", ...known });
      }, this.#failed)
      // Where it cannot be welcomed, it is told that the launch has ended.
      .then(() => this.dispatch({ e: "welcomed", host }));
  }

  #knowPython(name: string, report: PythonReport): void {
    this.#pythons.set(name, report);
    if (hasEnded(this.#state)) return;
    try {
      this.#context.hooks.onPythons([...this.#pythons.values()]);
    } catch (error) {
      this.#failed(error);
    }
  }
}

/** How many workers the script waits for. */
function wantedOf({ plan, waitWorkers }: LaunchContext): number {
  return waitWorkers === "all" ? plan.workerRanks.length : waitWorkers;
}
