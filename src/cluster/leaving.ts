import type { Failure } from "../errors/failure.ts";
import type { ToRank } from "../protocol/messages.ts";
import { signalNumber } from "../launcher/signals.ts";
import type { Ending } from "../ui/end.ts";
import { knownRanks, rankOf } from "./rank-table.ts";
import { hasEnded, hostsToCome, isOpen, registeredWorkers, type Effect, type LaunchState } from "./state.ts";

/** Of these nobody else ends the launch who would not wait for it. */
const endsOfItself: ReadonlySet<Ending["kind"]> = new Set(["script", "jupyter", "closed", "idle", "retired"]);

/** Ends that hosts which are still to come are to hear of, from a rank 0 that waits for them. */
const heardLater: ReadonlySet<Ending["kind"]> = new Set(["script", "failed", "scheduler-lost"]);
/** Of these, hosts were waited for long enough, or one has tried in vain. */
const waitedFor: ReadonlySet<string> = new Set(["TSD-022", "TSD-034", "TSD-053"]);

/** A state and what is to be done on the way to it. */
export type Step = readonly [LaunchState, readonly Effect[]];

/** One step after another: the effects of both, in order. */
export function inTurn([state, effects]: Step, next: (state: LaunchState) => Step): Step {
  const [after, more] = next(state);
  return [after, [...effects, ...more]];
}

/** A message to a rank whose host is known. */
export function told({ ranks }: LaunchState, rank: number | undefined, message: ToRank): Effect[] {
  const host = rank === undefined ? undefined : rankOf(ranks, rank).host;
  return rank === undefined || host === undefined ? [] : [{ do: "tell", host, rank, message }];
}

/** A signal from outside: the launch leaves in order, unless it is the script's own Ctrl-C. */
export function interrupt(state: LaunchState, signal: string): Step {
  const own = state.options.prompt && signal === "SIGINT" && state.client === "started";
  if (!isOpen(state) || own) return [state, []];
  // A batch system's warning (`--signal=USR1@60`) asks for the same orderly end; few scripts know it by that name.
  const forScript = signal.startsWith("SIGUSR") ? "SIGTERM" : signal;
  return depart(state, { kind: "signal", signal }, 128 + signalNumber(signal), forScript);
}

/**
 * Leaves with this code: a launch that joined after its workers have retired, one with a script after that has had its
 * time.
 */
export function depart(state: LaunchState, ending: Ending, code: number, scriptSignal: string): Step {
  const departing: LaunchState = { ...state, phase: "departing", ending, code };
  const { options, ranks } = state;
  if (options.joins && ranks.registered > 0) {
    const addresses = registeredWorkers(state).map(({ address }) => address);
    const facts = { workers: addresses.length };
    // Without a deadline here: the call to the scheduler has its own, and its end is told, whatever comes of it.
    return [
      departing,
      [
        { do: "log", level: "info", text: "the workers are retired", facts },
        { do: "retire", addresses },
      ],
    ];
  }
  if (state.client !== "started") return end(departing, ending, code);
  // The script hears it first and may save what it has; its own exit then ends the launch.
  const message = { t: "script-signal", signal: scriptSignal } as const;
  return [departing, [...told(state, options.plan.clientRank, message), { do: "wait", deadline: "departed" }]];
}

/** Reports a failure and ends with its code. */
export function fail(state: LaunchState, failure: Failure): Step {
  if (hasEnded(state)) return [state, []];
  const report: Effect = { do: "report", report: { code: failure.code, facts: failure.facts } };
  return inTurn([state, [report]], (now) => end(now, { kind: "failed", code: failure.code }, failure.exitCode));
}

/** The one place where a launch gets its exit code. `grace` in seconds. */
export function end(state: LaunchState, ending: Ending, code: number, grace: number = state.options.grace): Step {
  if (hasEnded(state)) return [state, []];
  const { ending: _, ...rest } = { ending: undefined, ...state };
  const waits = heardLater.has(ending.kind) && !(ending.kind === "failed" && waitedFor.has(ending.code));
  const ended: LaunchState = { ...rest, phase: "ending", code, takenBack: false, waits, cancels: false };
  const facts = {
    code,
    workers: state.everRegistered,
    restarts: state.restarts,
    telling: [...knownRanks(state.ranks)].flatMap(([rank, { worker, gone }]) => (worker && !gone ? rank : [])),
    schedulerTells:
      state.options.plan.schedulerRank !== undefined && state.scheduler !== undefined && !state.schedulerOver,
    inHaste: state.phase === "departing" || !endsOfItself.has(ending.kind),
    hostsToCome: waits && hostsToCome(state),
  };
  return [
    ended,
    [
      { do: "log", level: "info", text: "the launch ends", facts: { ending, code } },
      { do: "send", hosts: openHosts(state), message: { t: "end", code, grace } },
      { do: "take-back", ending, facts },
      { do: "wait", deadline: "hosts-done" },
    ],
  ];
}

/**
 * Done when all hosts are, and what was published is taken back. Hosts that start later than the script took are waited
 * for: their ranks would find nobody, fail the launch of a script that has succeeded, or look for the hub of one that
 * has failed until `--start-timeout`.
 */
export function finishIfDone(state: LaunchState): Step {
  if (state.phase !== "ending" || !state.takenBack || state.hosts.some(({ done }) => !done)) return [state, []];
  if (state.waits && hostsToCome(state)) return [state, []];
  const { takenBack: _, waits: __, cancels: ___, ...rest } = state;
  return [{ ...rest, phase: "done" }, [{ do: "finish", code: state.code }]];
}

/** What was published is gone again, or is not waited for any longer. */
export const takenBack = (state: LaunchState): Step =>
  state.phase === "ending" ? finishIfDone({ ...state, takenBack: true }) : [state, []];

/** There are worker jobs to be cancelled, which has a deadline of its own. */
export function cancelJobs(state: LaunchState): Step {
  if (state.phase !== "ending" || state.cancels) return [state, []];
  return [{ ...state, cancels: true }, [{ do: "wait", deadline: "jobs-cancelled" }]];
}

/** No host is waited for any longer, nor what was published, but for the jobs that are being cancelled. */
export function hostsLate(state: LaunchState): Step {
  if (state.phase !== "ending") return [state, []];
  const hosts = state.hosts.map((host) => ({ ...host, done: true }));
  return finishIfDone({ ...state, takenBack: state.takenBack || !state.cancels, waits: false, hosts });
}

/** The hosts that are not done yet. */
export const openHosts = ({ hosts }: LaunchState): number[] =>
  hosts.flatMap(({ done }, number) => (done ? [] : number));
