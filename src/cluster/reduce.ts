import { deadlines } from "../deadlines.ts";
import { exitCodes } from "../errors/exit-codes.ts";
import { Failure } from "../errors/failure.ts";
import { signalNumber } from "../launcher/signals.ts";
import { leftInOrder, type RankEvent } from "../protocol/messages.ts";
import { startTrouble } from "../rank/start-trouble.ts";
import {
  cancelJobs,
  depart,
  end,
  fail,
  finishIfDone,
  hostsLate,
  interrupt,
  inTurn,
  openHosts,
  takenBack,
  told,
  type Step,
} from "./leaving.ts";
import { knownRanks, rankOf, withRank, type Away } from "./rank-table.ts";
import { schedulerStartsAgain, workerWaits } from "./scheduler-return.ts";
import {
  absentRanks,
  hasEnded,
  isOpen,
  notEnough,
  tooFewCanCome,
  type DeadlineOfLaunch,
  type Effect,
  type LaunchEvent,
  type LaunchState,
  type SchedulerFacts,
} from "./state.ts";

/** Signals by which the system, or the hardware, ends a script. */
const crashes: ReadonlySet<string> = new Set(["SIGKILL", "SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE"]);
/**
 * A script that did not end within its grace is not given it twice: seconds until it, and whatever else is left, is
 * killed.
 */
const afterGrace = 1;

/**
 * The life of a launch: what it becomes by an event, and what is then to be done. Pure: no clock, no input, no output.
 */
export function reduce(state: LaunchState, event: LaunchEvent): Step {
  switch (event.e) {
    case "host-joined":
      return hostJoined(state, event.name, event.rank);
    case "ranks":
      return inTurn([seen(state, event.host, event.ranks, event.of), []], startClient);
    case "rank-event":
      return rankEvent(state, event.host, event.rank, event.event);
    case "rank-gone":
      return rankGone(state, event.host, event.rank);
    case "host-done":
      return inTurn([hostDone(state, event.host), []], finishIfDone);
    case "host-lost":
      return hostLost(state, event.host);
    case "welcomed":
      return [state, whatIsKnown(state, event.host)];
    case "scheduler":
      return schedulerAnswers(state, event.facts);
    case "sought":
      return sought({ ...state, seeking: false }, event.address);
    case "published":
      return inTurn([state, [...workersShown(state), { do: "wait", deadline: "dashboard" }]], startClient);
    case "failed":
      return fail(state, event.failure);
    case "end":
      return end(state, event.ending, event.code);
    case "signal":
      return interrupt(state, event.signal);
    case "leave":
      return isOpen(state) ? depart(state, { kind: "walltime" }, 0, "SIGTERM") : [state, []];
    case "retired":
      return state.phase === "departing" ? end(state, state.ending, state.code) : [state, []];
    case "taken-back":
      return takenBack(state);
    case "jobs-listed":
      return cancelJobs(state);
    case "deadline":
      return deadline(state, event.deadline, event.seconds);
  }
}

// --- hosts and ranks

function hostJoined(state: LaunchState, name: string, rank: number): Step {
  const host = state.hosts.length;
  const joined = seen({ ...state, hosts: [...state.hosts, { name, done: false }] }, host, [rank]);
  return [
    joined,
    [
      { do: "log", level: "info", text: "a host has joined", facts: { host: name, rank } },
      { do: "welcome", host },
    ],
  ];
}

function seen(state: LaunchState, host: number, ranks: readonly number[], of?: number): LaunchState {
  let table = state.ranks;
  for (const rank of ranks) {
    const known = rankOf(table, rank);
    if (known.host === undefined) table = withRank(table, rank, { ...known, host });
  }
  const hosts = of === undefined ? state.hosts : state.hosts.map((one, at) => (at === host ? { ...one, of } : one));
  return { ...state, hosts, ranks: table };
}

/** What a host that comes late has missed. */
function whatIsKnown(state: LaunchState, host: number): Effect[] {
  const hosts = [host];
  const { scheduler, options } = state;
  return [
    ...(scheduler === undefined
      ? []
      : [{ do: "send", hosts, message: { t: "address", scheduler: scheduler.address } } as const]),
    ...(hasEnded(state)
      ? [{ do: "send", hosts, message: { t: "end", code: state.code, grace: options.grace } } as const]
      : []),
  ];
}

const hostDone = (state: LaunchState, number: number): LaunchState => ({
  ...state,
  hosts: state.hosts.map((host, at) => (at === number ? { ...host, done: true } : host)),
});

function hostLost(state: LaunchState, number: number): Step {
  if (state.hosts[number]?.done !== false) return [state, []];
  let step: Step = [hostDone(state, number), []];
  for (const [rank, { host, gone }] of knownRanks(state.ranks))
    if (host === number && gone === undefined) step = inTurn(step, (now) => rankGone(now, number, rank));
  return inTurn(step, finishIfDone);
}

function rankGone(state: LaunchState, hostNumber: number, rank: number): Step {
  const { schedulerRank, clientRank, workerRanks } = state.options.plan;
  const known = rankOf(state.ranks, rank);
  // A rank that nobody has seen cannot have gone.
  if (known.host === undefined || known.gone) return [state, []];
  const host = state.hosts[hostNumber]?.name ?? "?";
  const gone: LaunchState = {
    ...state,
    ranks: withRank(state.ranks, rank, { ...known, gone: true }),
    schedulerOver: state.schedulerOver || rank === schedulerRank,
  };
  if (hasEnded(state)) return [gone, []];
  const said: Effect = { do: "log", level: "warn", text: "a rank is gone", facts: { rank, host } };
  const why = "its rank's process is gone";
  if (rank === schedulerRank)
    return inTurn(
      [gone, [said, { do: "report", report: { code: "TSD-051", facts: { rank, host, why }, rank, host } }]],
      (now) => end(now, { kind: "scheduler-lost" }, exitCodes.schedulerLost),
    );
  if (rank === clientRank && state.client !== "over")
    return inTurn(
      [gone, [said, { do: "report", report: { code: "TSD-060", facts: { rank, host }, rank, host } }]],
      (now) => end(now, { kind: "rank-lost", rank, host }, 128 + signalNumber("SIGKILL")),
    );
  // Of a worker that is away already nothing more is lost.
  if (!workerRanks.includes(rank) || known.away !== undefined) return [gone, [said]];
  return inTurn(
    [gone, [said, { do: "report", report: { code: "TSD-061", facts: { rank, host }, rank, host } }]],
    (now) => loseWorker(now, rank, { lost: why }),
  );
}

// --- what ranks say

function rankEvent(state: LaunchState, hostNumber: number, rank: number, event: RankEvent): Step {
  const host = state.hosts[hostNumber]?.name ?? "?";
  switch (event.k) {
    case "scheduler-ready": {
      const { address, identity, dashboard, https } = event;
      return schedulerAnswers(state, { address, identity, dashboard, ...(https === true ? { https } : {}), host });
    }
    case "scheduler-exit":
      return schedulerExit(state, event, rank, host);
    case "worker-ready":
      return workerReady(state, event, rank, host);
    case "worker-lost":
      return workerLost(state, event, rank, host);
    case "worker-away":
      return inTurn(
        [state, [{ do: "log", level: "info", text: "a worker has left", facts: { rank, host, why: event.why } }]],
        (now) => loseWorker(now, rank, leftInOrder.has(event.why) ? { left: event.why } : { lost: event.why }),
      );
    case "worker-waits":
      return hasEnded(state) ? [state, []] : workerWaits(state, rank);
    case "client-exit":
      return clientExit(state, event, rank, host);
    case "signal":
      return interrupt(state, event.signal);
    case "failure": {
      if (hasEnded(state)) return [state, []];
      const reports = (event.ranks ?? [rank]).map(
        (one): Effect => ({ do: "report", report: { code: event.code, facts: event.facts, rank: one, host } }),
      );
      return inTurn([state, reports], (now) => end(now, { kind: "failed", code: event.code }, event.exit));
    }
    case "warning":
      return [state, [{ do: "report", report: { code: event.code, facts: event.facts, rank, host } }]];
    default:
      // Where Jupyter is, is published, too.
      if (event.k === "jupyter-ready" && hasEnded(state)) return [state, []];
      return [state, [{ do: "rank-said", host, rank, event }]];
  }
}

function schedulerAnswers(state: LaunchState, scheduler: SchedulerFacts): Step {
  // What was published is being taken back.
  if (hasEnded(state)) return [state, []];
  const phase = state.phase === "forming" ? { phase: "running" as const } : {};
  const hosts = state.hosts.map(({ name }) => name);
  return [
    { ...state, ...phase, scheduler, schedulerOver: false },
    [
      { do: "log", level: "info", text: "the scheduler answers", facts: { address: scheduler.address } },
      { do: "send", hosts: openHosts(state), message: { t: "address", scheduler: scheduler.address } },
      ...(state.schedulerRestarts === 0
        ? [{ do: "publish", scheduler, hosts } as const]
        : [{ do: "renew", scheduler, hosts } as const, { do: "wait", deadline: "start" } as const]),
    ],
  ];
}

/** The workers of a launch that joined hear where their cluster's scheduler is again, or that it is gone. */
function sought(state: LaunchState, address: string | undefined): Step {
  if (!isOpen(state)) return [state, []];
  if (address === undefined) return end(state, { kind: "cluster-gone" }, 0);
  return [state, [{ do: "send", hosts: openHosts(state), message: { t: "address", scheduler: address } }]];
}

type Exit = Extract<RankEvent, { k: "scheduler-exit" }>;

function schedulerExit(before: LaunchState, event: Exit, rank: number, host: string): Step {
  const state: LaunchState = { ...before, schedulerOver: true };
  if (hasEnded(state)) return [state, []];
  const { code, signal, why, kind, reason } = event;
  const { options, scheduler } = state;
  if (event.restarting === true && scheduler !== undefined) return schedulerStartsAgain(state, event, rank, host);
  const answered = scheduler !== undefined || state.schedulerRestarts > 0;
  const said: Effect = { do: "log", level: "info", text: "the scheduler has ended", facts: { code, signal, why } };
  if (code !== 0 || scheduler === undefined) {
    const facts = { rank, host, why, ...(answered ? {} : startTrouble(kind, signal)) };
    const report = { code: answered ? "TSD-051" : "TSD-050", facts, rank, host } as const;
    return inTurn([state, [said, { do: "report", report }]], (now) =>
      end(now, { kind: "scheduler-lost" }, answered ? exitCodes.schedulerLost : exitCodes.notStarted),
    );
  }
  // Client.shutdown(), or the idle timeout: no failure. A script that still runs may finish what it does.
  const closed: Step = [{ ...state, schedulerClosed: true }, [said]];
  if (state.client === "started") return closed;
  if (state.client === "waiting")
    return inTurn(closed, (now) => fail(now, new Failure("TSD-159", { script: options.scriptName, why })));
  const idle = reason === "idle" ? options.idleTimeout : undefined;
  return inTurn(closed, (now) =>
    end(now, idle === undefined ? { kind: "closed" } : { kind: "idle", seconds: idle }, 0),
  );
}

function workerReady(
  state: LaunchState,
  { address, name, nthreads, memoryLimit }: Extract<RankEvent, { k: "worker-ready" }>,
  rank: number,
  host: string,
): Step {
  const { away: _, ...known } = rankOf(state.ranks, rank);
  const worker = { rank, host, address, name, nthreads, memoryLimit };
  const ranks = withRank(state.ranks, rank, { ...known, worker });
  const ready: LaunchState = { ...state, ranks, everRegistered: Math.max(state.everRegistered, ranks.registered) };
  const said: Effect = { do: "log", level: "info", text: "a worker is in", facts: { rank, host, address } };
  const step = inTurn([ready, [said, ...workersShown(ready, rank)]], startClient);
  return ranks.registered >= state.options.plan.workerRanks.length - ranks.away ? inTurn(step, loadDashboard) : step;
}

function workerLost(
  state: LaunchState,
  { why, restarting }: Extract<RankEvent, { k: "worker-lost" }>,
  rank: number,
  host: string,
): Step {
  const said: Effect = { do: "log", level: "warn", text: "a worker was lost", facts: { rank, host, why, restarting } };
  if (hasEnded(state)) return [state, [said]];
  const code = restarting ? "TSD-055" : "TSD-056";
  const effects: Effect[] = [said, { do: "report", report: { code, facts: { rank, host, why }, rank, host } }];
  if (!restarting) return inTurn([state, effects], (now) => loseWorker(now, rank, { lost: why }));
  const { worker: _, ...known } = rankOf(state.ranks, rank);
  const lost: LaunchState = {
    ...state,
    ranks: withRank(state.ranks, rank, known),
    restarts: state.restarts + 1,
  };
  return [lost, [...effects, ...workersShown(lost, rank)]];
}

/** A worker that will not come back. */
function loseWorker(before: LaunchState, rank: number, away: Away): Step {
  const { worker: _, ...known } = rankOf(before.ranks, rank);
  const state: LaunchState = { ...before, ranks: withRank(before.ranks, rank, { ...known, away }) };
  const shown = workersShown(state, rank);
  if (!isOpen(state) || state.schedulerClosed) return [state, shown];
  const tooFew: Effect[] = tooFewCanCome(state) ? [{ do: "wait", deadline: "too-few" }] : [];
  const { ranks, options } = state;
  if (ranks.away < options.plan.workerRanks.length) return [state, [...shown, ...tooFew]];
  const all = [...knownRanks(ranks)].flatMap(([, one]) => one.away ?? []);
  if (all.some(({ lost }) => lost !== undefined)) return [state, [...shown, { do: "wait", deadline: "all-lost" }]];
  // All have left in order. Who joined is no longer needed; others go on without workers, but nobody waits for one.
  if (!options.joins) return [state, [...shown, ...tooFew]];
  const gone = all.every(({ left }) => left === "scheduler-closed" || left === "scheduler-lost");
  return inTurn([state, shown], (now) => end(now, { kind: gone ? "cluster-gone" : "retired" }, 0));
}

type ClientExit = Extract<RankEvent, { k: "client-exit" }>;

function clientExit(before: LaunchState, { code, signal }: ClientExit, rank: number, host: string): Step {
  const state: LaunchState = { ...before, client: "over" };
  const { jupyter, scriptName } = state.options;
  // Jupyter ends with 0 however it was asked to; a script that saved what it had may say 0 as well, and is believed.
  if (state.phase === "departing" && (code >= 128 || jupyter)) return end(state, state.ending, code);
  if (jupyter) return end(state, { kind: "jupyter", code }, code);
  if (signal === undefined) return end(state, { kind: "script", name: scriptName, code }, code);
  // Whoever sends another signal than these knows that he did.
  const facts = { script: scriptName, signal, rank, host };
  const crashed: Effect[] = crashes.has(signal)
    ? [{ do: "report", report: { code: "TSD-065", facts, rank, host } }]
    : [];
  return inTurn([state, crashed], (now) => end(now, { kind: "script-killed", name: scriptName, signal }, code));
}

// --- the script and the dashboard

function startClient(state: LaunchState): Step {
  const { scheduler, options, ranks } = state;
  if (state.client !== "waiting" || scheduler === undefined || ranks.registered < options.wanted) return [state, []];
  // The client's host may join after the scheduler answers.
  const host = rankOf(ranks, options.plan.clientRank as number).host;
  if (hasEnded(state) || host === undefined) return [state, []];
  const sameHost = state.hosts[host]?.name === scheduler.host;
  return [{ ...state, client: "started" }, [{ do: "start-client", scheduler, sameHost }]];
}

function loadDashboard(state: LaunchState): Step {
  if (state.dashboardLoaded) return [state, []];
  return [{ ...state, dashboardLoaded: true }, told(state, state.options.plan.schedulerRank, { t: "dashboard" })];
}

const workersShown = (state: LaunchState, changed?: number): Effect[] =>
  hasEnded(state) ? [] : [{ do: "show-workers", ...(changed === undefined ? {} : { changed }) }];

// --- deadlines

function deadline(state: LaunchState, which: DeadlineOfLaunch, seconds: number): Step {
  const { options, ranks } = state;
  switch (which) {
    case "start": {
      const start = state.pending.start - 1;
      const next = { ...state, pending: { ...state.pending, start } };
      return hasEnded(next) || start > 0 ? [next, []] : startTimedOut(next);
    }
    case "scheduler-back": {
      const schedulerBack = state.pending.schedulerBack - 1;
      const next = { ...state, pending: { ...state.pending, schedulerBack } };
      return schedulerBack > 0 ? [next, []] : schedulerStaysAway(next);
    }
    case "dashboard":
      return loadDashboard(state);
    case "too-few":
      return tooFewCanCome(state) ? fail(state, notEnough(state, seconds)) : [state, []];
    case "all-lost": {
      const expected = options.plan.workerRanks.length;
      if (!isOpen(state) || state.schedulerClosed || ranks.away < expected) return [state, []];
      const why = [...knownRanks(ranks)].map(([, { away }]) => away?.lost).find((lost) => lost !== undefined);
      const report = { code: "TSD-054", facts: { workers: expected, why } } as const;
      return inTurn([state, [{ do: "report", report }]], (now) =>
        end(now, { kind: "workers-lost" }, exitCodes.workersLost),
      );
    }
    case "departed":
      return state.phase === "departing"
        ? end(state, state.ending, state.code, Math.min(options.grace, afterGrace))
        : [state, []];
    case "hosts-done":
      return hostsLate(state);
    case "jobs-cancelled":
      return takenBack(state);
  }
}

/** The scheduler that was started again does not answer. */
function schedulerStaysAway(state: LaunchState): Step {
  if (hasEnded(state) || state.scheduler !== undefined || state.schedulerRestarts === 0) return [state, []];
  const rank = state.options.plan.schedulerRank ?? 0;
  const host = state.hosts[rankOf(state.ranks, rank).host ?? 0]?.name ?? "?";
  const why = `it was started again and did not answer within ${deadlines.schedulerBack / 1000} s`;
  return inTurn(
    [state, [{ do: "report", report: { code: "TSD-051", facts: { rank, host, why }, rank, host } }]],
    (now) => end(now, { kind: "scheduler-lost" }, exitCodes.schedulerLost),
  );
}

function startTimedOut(state: LaunchState): Step {
  const { options, scheduler, client, ranks } = state;
  const { plan, startTimeout: seconds, wanted } = options;
  const absent = absentRanks(state);
  const clientAbsent = client === "waiting" && absent.includes(plan.clientRank as number);
  if (absent.length > 0 && (scheduler === undefined || clientAbsent)) {
    const missing = absent.slice(0, 20).join(", ");
    return fail(
      state,
      new Failure("TSD-034", { seconds, joined: plan.size - absent.length, size: plan.size, missing }),
    );
  }
  if (scheduler === undefined) {
    const why = `it did not answer within ${seconds} s`;
    const host = state.hosts[0]?.name;
    return fail(state, new Failure("TSD-050", { rank: plan.schedulerRank, host, why, ...startTrouble("timeout") }));
  }
  const waits = client === "waiting" && ranks.registered < Math.max(1, wanted);
  return waits || state.everRegistered === 0 ? fail(state, notEnough(state, seconds)) : [state, []];
}
