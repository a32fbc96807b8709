import type { Granted } from "../batch/granted.ts";
import type { Channel } from "../protocol/channel.ts";
import type { Credentials, FromLeader, PythonReport, RankEvent, ToLeader, ToRank } from "../protocol/messages.ts";
import { Failure, type Facts } from "../errors/failure.ts";
import type { MessageCode } from "../errors/messages.ts";
import type { Plan } from "./plan.ts";
import type { Log } from "../ui/log.ts";
import type { Ending } from "../ui/end.ts";
import type { UsageEvent } from "./usage.ts";
import type { WaitingFacts } from "../ui/waiting.ts";
import { startTrouble } from "./start-trouble.ts";
import type { ClusterRecord } from "../dask/scheduler-file.ts";

/** What the hub knows of a worker that has registered. */
export interface WorkerFacts {
  readonly rank: number;
  readonly host: string;
  readonly address: string;
  readonly name: string;
  readonly nthreads: number;
  readonly memoryLimit: number;
}

export interface SchedulerFacts {
  readonly address: string;
  readonly identity: Readonly<Record<string, unknown>>;
  readonly dashboard: number | null;
  /** Whether the dashboard is served over TLS. */
  readonly https?: boolean;
  readonly host: string;
}

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
  readonly onFailure: (report: { code: MessageCode; facts: Facts; rank?: number; host?: string }) => void;
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

interface Host {
  readonly name: string;
  readonly channel: Channel<ToLeader, FromLeader>;
  readonly ranks: Set<number>;
  done: boolean;
}

const signals: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15, SIGUSR1: 10, SIGUSR2: 12 };
/** Signals by which the system, or the hardware, ends a script. */
const crashes: ReadonlySet<string> = new Set(["SIGKILL", "SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE"]);
/** A script that did not end within its grace is not given it twice: seconds until it, and whatever else is left, is killed. */
const afterGrace = 1;
/** While there is no scheduler, people are told this often (ms) what is missing. */
const waitingEvery = 10_000;
/** Reasons of a worker that left because it was asked to, by the scheduler or by its own options. */
const leftInOrder: ReadonlySet<string> = new Set([
  "retired",
  "lifetime",
  "idle",
  "stop",
  "scheduler-closed",
  "scheduler-lost",
]);
/** With nobody waiting for workers, the dashboard is loaded this long (ms) after the scheduler answers, at the latest. */
const dashboardAfter = 3_000;

/**
 * Is the life of a launch, on rank 0: who has joined, where the scheduler is, which workers are in, when the script starts,
 * and how it all ends. It knows its ranks only by messages and everything else by hooks.
 */
export function createLaunch(context: LaunchContext): Launch {
  const { plan, hooks, log } = context;
  const hosts: Host[] = [];
  const homes = new Map<number, Host>();
  const workers = new Map<number, WorkerFacts>();
  /** Worker ranks that will not come (back), with the reason. */
  const away = new Map<number, string>();
  const gone = new Set<number>();
  const pythons = new Map<string, PythonReport>();
  const began = performance.now();
  let everRegistered = 0;
  let restarts = 0;
  let scheduler: SchedulerFacts | undefined;
  let schedulerClosed = false;
  /** Its process is gone, in order or not. */
  let schedulerOver = false;
  let clientState: "none" | "waiting" | "started" | "over" = plan.clientRank === undefined ? "none" : "waiting";
  let interrupted: string | undefined;
  /** Set while the launch takes its leave; the workers that go now are no loss. */
  let departing: Ending | undefined;
  let ended: number | undefined;
  let finished = false;

  const hostOf = (rank: number): Host | undefined => homes.get(rank);
  const house = (host: Host, ranks: Iterable<number>): void => {
    for (const rank of ranks) {
      host.ranks.add(rank);
      if (!homes.has(rank)) homes.set(rank, host);
    }
  };
  const tell = (rank: number | undefined, message: ToRank): void => {
    if (rank !== undefined) hostOf(rank)?.channel.send({ t: "to-rank", rank, message });
  };
  const all = (message: ToLeader): void => {
    for (const host of hosts) if (!host.done) host.channel.send(message);
  };

  const expected = plan.workerRanks.length;
  const wanted = context.waitWorkers === "all" ? expected : context.waitWorkers;
  const missing = (): string[] =>
    plan.workerRanks
      .filter((rank) => !workers.has(rank))
      .map((rank) => {
        const host = hostOf(rank);
        return host === undefined ? `rank ${rank}` : `rank ${rank} on ${host.name}`;
      });
  const showWorkers = (): void => {
    if (ended === undefined) hooks.onWorkers(workers, expected - away.size, missing);
  };

  const knowScheduler = (facts: SchedulerFacts): void => {
    scheduler = facts;
    log.info("the scheduler answers", { address: facts.address });
    all({ t: "address", scheduler: facts.address });
    void hooks
      .onScheduler(
        facts,
        hosts.map((host) => host.name),
      )
      .then(
        () => {
          showWorkers();
          startClient();
          setTimeout(loadDashboard, dashboardAfter).unref();
        },
        (error: unknown) => failWith(error),
      );
  };

  let dashboardLoaded = false;
  const loadDashboard = (): void => {
    if (dashboardLoaded) return;
    dashboardLoaded = true;
    tell(plan.schedulerRank, { t: "dashboard" });
  };

  const startClient = (): void => {
    if (clientState !== "waiting" || scheduler === undefined || workers.size < wanted || ended !== undefined) return;
    // The client's host may join after the scheduler answers.
    const clientHost = hostOf(plan.clientRank as number);
    if (clientHost === undefined) return;
    clientState = "started";
    void hooks.client(scheduler, clientHost.name === scheduler.host).then(
      (message) => tell(plan.clientRank, message),
      (error: unknown) => failWith(error),
    );
  };

  const failWith = (error: unknown): void => {
    fail(
      error instanceof Failure
        ? error
        : new Failure(
            "TSD-070",
            { rank: 0, host: hosts[0]?.name, problem: String(error), log: context.folder },
            { cause: error },
          ),
    );
  };
  const fail = (failure: Failure): void => {
    if (ended !== undefined) return;
    hooks.onFailure({ code: failure.code, facts: failure.facts });
    end({ kind: "failed", code: failure.code }, failure.exitCode);
  };

  const end = (ending: Ending, code: number, grace: number = context.grace): void => {
    if (ended !== undefined) return;
    ended = code;
    clearTimeout(startTimer);
    log.info("the launch ends", { ending, code });
    all({ t: "end", code, grace });
    void hooks
      .onEnd(ending, {
        code,
        workers: everRegistered,
        restarts,
        telling: [...workers.keys()].filter((rank) => !gone.has(rank)),
        schedulerTells: plan.schedulerRank !== undefined && scheduler !== undefined && !schedulerOver,
      })
      .catch((error: unknown) => log.warn("not everything was taken back", { problem: String(error) }))
      .then(() => {
        settled = true;
        maybeFinished();
      });
    setTimeout(
      () => {
        for (const host of hosts) host.done = true;
        settled = true;
        maybeFinished();
      },
      context.grace * 1000 + 3000,
    ).unref();
    maybeFinished();
  };
  let settled = false;
  const maybeFinished = (): void => {
    if (finished || ended === undefined || !settled || hosts.some((host) => !host.done)) return;
    finished = true;
    hooks.finished(ended);
  };

  const interrupt = (signal: string): void => {
    if (
      interrupted !== undefined ||
      ended !== undefined ||
      (context.prompt && signal === "SIGINT" && clientState === "started")
    )
      return;
    interrupted = signal;
    // A batch system's warning (`--signal=USR1@60`) asks for the same orderly end; few scripts know it by that name.
    depart({ kind: "signal", signal }, 128 + (signals[signal] ?? 15), signal.startsWith("SIGUSR") ? "SIGTERM" : signal);
  };
  const leave = (): void => {
    if (interrupted !== undefined || ended !== undefined) return;
    interrupted = "SIGTERM";
    depart({ kind: "walltime" }, 0, "SIGTERM");
  };
  const depart = (ending: Ending, code: number, scriptSignal: string): void => {
    departing = ending;
    if (context.join !== undefined && workers.size > 0) {
      log.info("the workers are retired", { workers: workers.size });
      void hooks
        .retire([...workers.values()].map(({ address }) => address))
        .catch((error: unknown) => log.warn("the workers could not be retired", { problem: String(error) }))
        .then(() => end(ending, code));
      return;
    }
    if (clientState !== "started") {
      end(ending, code);
      return;
    }
    // The script hears it first and may save what it has; its own exit then ends the launch.
    tell(plan.clientRank, { t: "script-signal", signal: scriptSignal });
    setTimeout(() => end(ending, code, Math.min(context.grace, afterGrace)), context.grace * 1000).unref();
  };

  /** Whether the script waits for workers that cannot come any more. */
  const tooFew = (): boolean =>
    clientState === "waiting" &&
    !schedulerClosed &&
    departing === undefined &&
    wanted <= expected &&
    wanted > expected - away.size;
  const notEnough = (seconds: number): Failure =>
    new Failure("TSD-053", {
      seconds,
      registered: workers.size,
      wanted: Math.max(1, wanted),
      missing: missing().slice(0, 10).join(", "),
    });

  const lose = (rank: number, why: string): void => {
    workers.delete(rank);
    away.set(rank, why);
    showWorkers();
    const alive = away.size < expected;
    if (alive && tooFew()) {
      // A scheduler that is going takes its workers first: its own end is the cause, and on its way.
      setTimeout(() => {
        if (tooFew()) fail(notEnough(Math.round((performance.now() - began) / 1000)));
      }, 500).unref();
    }
    if (alive || ended !== undefined || schedulerClosed || departing !== undefined) return;
    const reasons = new Set(away.values());
    const joined = context.join !== undefined;
    if (joined && [...reasons].every((reason) => reason.startsWith("scheduler"))) end({ kind: "cluster-gone" }, 0);
    else if (joined && [...reasons].every((reason) => leftInOrder.has(reason))) end({ kind: "retired" }, 0);
    else if ([...reasons].some((reason) => !leftInOrder.has(reason))) {
      // A scheduler that is going takes its workers first: its own end is the cause, and on its way.
      setTimeout(() => {
        if (ended !== undefined || schedulerClosed) return;
        hooks.onFailure({ code: "TSD-054", facts: { workers: expected, why: [...reasons][0] } });
        end({ kind: "workers-lost" }, 73);
      }, 500).unref();
    }
  };

  const onEvent = (rank: number, host: Host, event: RankEvent): void => {
    switch (event.k) {
      case "scheduler-ready":
        knowScheduler({
          address: event.address,
          identity: event.identity,
          dashboard: event.dashboard,
          ...(event.https === true ? { https: true } : {}),
          host: host.name,
        });
        break;
      case "scheduler-exit":
        onSchedulerExit(event, rank, host);
        break;
      case "worker-ready":
        away.delete(rank);
        workers.set(rank, {
          rank,
          host: host.name,
          address: event.address,
          name: event.name,
          nthreads: event.nthreads,
          memoryLimit: event.memoryLimit,
        });
        everRegistered = Math.max(everRegistered, workers.size);
        log.info("a worker is in", { rank, host: host.name, address: event.address });
        showWorkers();
        startClient();
        if (workers.size >= expected - away.size) loadDashboard();
        break;
      case "worker-lost":
        log.warn("a worker was lost", { rank, host: host.name, why: event.why, restarting: event.restarting });
        if (ended !== undefined) break;
        hooks.onFailure({
          code: event.restarting ? "TSD-055" : "TSD-056",
          facts: { rank, host: host.name, why: event.why },
          rank,
          host: host.name,
        });
        if (event.restarting) {
          restarts += 1;
          workers.delete(rank);
          showWorkers();
        } else lose(rank, event.why);
        break;
      case "worker-away":
        log.info("a worker has left", { rank, host: host.name, why: event.why });
        lose(rank, event.why);
        break;
      case "scheduler-usage":
      case "worker-usage":
        hooks.onUsage(rank, event);
        break;
      case "client-started":
        hooks.onClient(host.name);
        break;
      case "client-exit":
        clientState = "over";
        // Jupyter ends with 0 however it was asked to; a script that saved what it had may say 0 as well, and is believed.
        if (departing !== undefined && (event.code >= 128 || context.jupyter)) end(departing, event.code);
        else if (context.jupyter) end({ kind: "jupyter", code: event.code }, event.code);
        else if (event.signal === undefined)
          end({ kind: "script", name: context.scriptName, code: event.code }, event.code);
        else {
          // Whoever sends another signal than these knows that he did.
          if (crashes.has(event.signal))
            hooks.onFailure({
              code: "TSD-065",
              facts: { script: context.scriptName, signal: event.signal, rank, host: host.name },
              rank,
              host: host.name,
            });
          end({ kind: "script-killed", name: context.scriptName, signal: event.signal }, event.code);
        }
        break;
      case "stdin":
        if (rank !== plan.clientRank) break;
        void hooks.onStdin().then(
          (data) => tell(rank, { t: "stdin", data }),
          (error: unknown) => failWith(error),
        );
        break;
      case "jupyter-ready": {
        const { k: _, ...place } = event;
        hooks.onJupyter({ ...place, node: host.name });
        break;
      }
      case "signal":
        interrupt(event.signal);
        break;
      case "failure":
        if (ended !== undefined) break;
        for (const one of event.ranks ?? [rank])
          hooks.onFailure({ code: event.code, facts: event.facts, rank: one, host: host.name });
        end({ kind: "failed", code: event.code }, event.exit);
        break;
      case "warning":
        hooks.onFailure({ code: event.code, facts: event.facts, rank, host: host.name });
        break;
      case "note":
        log[event.level](event.text, { rank, host: host.name, ...(event.child === true ? { child: true } : {}) });
        break;
    }
  };

  const onSchedulerExit = (event: Extract<RankEvent, { k: "scheduler-exit" }>, rank: number, host: Host): void => {
    schedulerOver = true;
    if (ended !== undefined) return;
    const inOrder = event.code === 0 && scheduler !== undefined;
    log.info("the scheduler has ended", { code: event.code, signal: event.signal, why: event.why });
    if (inOrder) {
      // Client.shutdown(), or the idle timeout: no failure. A script that still runs may finish what it does.
      schedulerClosed = true;
      if (clientState === "started") return;
      if (clientState === "waiting") {
        fail(new Failure("TSD-159", { script: context.scriptName, why: event.why }));
        return;
      }
      if (event.why.includes("idle") && context.idleTimeout !== undefined)
        end({ kind: "idle", seconds: context.idleTimeout }, 0);
      else end({ kind: "closed" }, 0);
      return;
    }
    const facts = {
      rank,
      host: host.name,
      why: event.why,
      ...(scheduler === undefined ? startTrouble(event.kind) : {}),
    };
    hooks.onFailure({ code: scheduler === undefined ? "TSD-050" : "TSD-051", facts, rank, host: host.name });
    end({ kind: "scheduler-lost" }, scheduler === undefined ? 69 : 72);
  };

  const onRankGone = (rank: number, host: Host): void => {
    gone.add(rank);
    if (rank === plan.schedulerRank) schedulerOver = true;
    if (ended !== undefined) return;
    log.warn("a rank is gone", { rank, host: host.name });
    if (rank === plan.schedulerRank) {
      hooks.onFailure({
        code: "TSD-051",
        facts: { rank, host: host.name, why: "its rank's process is gone" },
        rank,
        host: host.name,
      });
      end({ kind: "scheduler-lost" }, 72);
    } else if (rank === plan.clientRank && clientState !== "over") {
      hooks.onFailure({ code: "TSD-060", facts: { rank, host: host.name }, rank, host: host.name });
      end({ kind: "rank-lost", rank, host: host.name }, 137);
    } else {
      if (plan.workerRanks.includes(rank)) {
        hooks.onFailure({ code: "TSD-061", facts: { rank, host: host.name }, rank, host: host.name });
        lose(rank, "its rank's process is gone");
      }
    }
  };

  const attach = (channel: Channel<ToLeader, FromLeader>, name: string, leaderRank: number): void => {
    const host: Host = { name, channel, ranks: new Set(), done: false };
    hosts.push(host);
    house(host, [leaderRank]);
    log.info("a host has joined", { host: name, rank: leaderRank });
    channel.onMessage((message) => {
      switch (message.t) {
        case "ranks":
          house(host, message.ranks);
          startClient();
          break;
        case "python":
          pythons.set(name, message.report);
          if (ended === undefined) {
            try {
              hooks.onPythons([...pythons.values()]);
            } catch (error) {
              failWith(error);
            }
          }
          break;
        case "event":
          onEvent(message.rank, host, message.event);
          break;
        case "gone":
          onRankGone(message.rank, host);
          break;
        case "host-done":
          host.done = true;
          maybeFinished();
          break;
        default:
          break;
      }
    });
    channel.onClose(() => {
      if (host.done) return;
      host.done = true;
      for (const rank of host.ranks) if (!gone.has(rank)) onRankGone(rank, host);
      maybeFinished();
    });
    void Promise.all([context.secrets, context.granted]).then(
      ([{ credentials, token }, granted]) => {
        channel.send({
          t: "welcome",
          folder: context.folder,
          schedulerFile: context.schedulerFile,
          credentials,
          token,
          granted: granted(name),
          namedByRank: context.namedByRank,
        });
        if (scheduler !== undefined) channel.send({ t: "address", scheduler: scheduler.address });
        if (ended !== undefined) channel.send({ t: "end", code: ended, grace: context.grace });
      },
      (error: unknown) => failWith(error),
    );
  };

  const absentRanks = (): number[] =>
    Array.from({ length: plan.size }, (_, rank) => rank).filter((rank) => hostOf(rank) === undefined);
  const waitTimer = setInterval(() => {
    if (scheduler !== undefined || ended !== undefined) {
      clearInterval(waitTimer);
      return;
    }
    const importing = hosts.map(({ name }) => name).filter((name) => !pythons.has(name));
    hooks.onWaiting({ size: plan.size, missing: absentRanks(), importing, joining: context.join !== undefined });
  }, waitingEvery);
  waitTimer.unref();
  const startTimer = setTimeout(() => {
    const seconds = context.startTimeout;
    const absent = absentRanks();
    const clientAbsent = clientState === "waiting" && absent.includes(plan.clientRank as number);
    if (absent.length > 0 && (scheduler === undefined || clientAbsent))
      fail(
        new Failure("TSD-034", {
          seconds,
          joined: plan.size - absent.length,
          size: plan.size,
          missing: absent.slice(0, 20).join(", "),
        }),
      );
    else if (scheduler === undefined)
      fail(
        new Failure("TSD-050", {
          rank: plan.schedulerRank,
          host: hosts[0]?.name,
          why: `it did not answer within ${seconds} s`,
          ...startTrouble("timeout"),
        }),
      );
    else if ((clientState === "waiting" && workers.size < Math.max(1, wanted)) || everRegistered === 0)
      fail(notEnough(seconds));
  }, context.startTimeout * 1000);
  startTimer.unref();

  if (context.join !== undefined) context.join.then(knowScheduler, (error: unknown) => failWith(error));

  return { attach, end, fail, leave, interrupt };
}
