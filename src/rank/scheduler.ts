import type { ChildRequest, RankEvent } from "../protocol/messages.ts";
import { portWords } from "../net/port-words.ts";
import { secondSignalAfter, type Child } from "./child.ts";
import type { ChildEvent, ChildFailure, CloseReason } from "../protocol/fork-server.ts";
import { describeExit, endChild } from "./worker.ts";

export interface SchedulerSupervision {
  readonly request: ChildRequest;
  /** The name of this host. */
  readonly host: string;
  /** How often a scheduler that had answered and died is started again. */
  readonly restarts: number;
  readonly start: (request: ChildRequest, onEvent: (event: ChildEvent) => void) => Child;
  readonly report: (event: RankEvent) => void;
  readonly lastWords: () => string;
}

export interface SupervisedScheduler {
  readonly dashboard: () => void;
  readonly end: (grace: number) => Promise<void>;
  readonly killNow: () => void;
}

/** A scheduler that died this long (ms) after it answered starts with a clean record. */
const cleanRecordAfter = 60_000;
const firstPause = 200;
const longestPause = 5_000;

/**
 * Starts the Dask scheduler. One that dies takes the cluster's state with it, so its end is the launch's; unless restarts are allowed, and another
 * one takes its place, at the same ports.
 */
export function superviseScheduler(options: SchedulerSupervision): SupervisedScheduler {
  let child: Child | undefined;
  let why: string | undefined;
  /** Python's word for the exception that `why` tells of. */
  let kind: ChildFailure | undefined;
  let closing: CloseReason | undefined;
  let answers = false;
  let { request } = options;
  /** Since the record is clean. */
  let deaths = 0;
  let readyAt: number | undefined;
  let pause: NodeJS.Timeout | undefined;
  let ending = false;
  let over: (() => void) | undefined;
  const port = portOf(options.request);

  const onEvent = (event: ChildEvent): void => {
    switch (event.event) {
      case "ready":
        answers = true;
        readyAt = performance.now();
        request = atSamePorts(request, event.address, event.dashboard ?? null);
        options.report({
          k: "scheduler-ready",
          address: event.address,
          identity: (event.identity ?? {}) as Record<string, unknown>,
          dashboard: event.dashboard ?? null,
          ...(event.https === true ? { https: true } : {}),
        });
        break;
      case "usage":
        options.report({
          k: "scheduler-usage",
          clients: event.clients,
          tasks: event.tasks,
          used: event.used,
          seen: event.seen,
          spilled: event.spilled,
        });
        break;
      case "stop-asked":
        // As from outside: the first signal ends the launch in order, a second one at once.
        process.kill(process.pid, "SIGTERM");
        if (event.now) setTimeout(() => process.kill(process.pid, "SIGTERM"), 2 * secondSignalAfter);
        break;
      case "dashboard":
        if (typeof event.problem === "string")
          options.report({ k: "warning", code: "TSD-158", facts: { problem: event.problem } });
        break;
      case "missing-module":
        options.report({
          k: "warning",
          code: "TSD-162",
          facts: { role: "scheduler", host: options.host, module: event.module },
        });
        break;
      case "closing":
        closing = event.reason;
        break;
      case "failed":
        why = event.message;
        kind = event.code;
        break;
      case "refused":
        gone(null, null, `it could not be started: ${event.message}`);
        break;
      case "exit":
        gone(
          event.code,
          event.signal,
          why ??
            (event.code === 0 ? (closing ?? "closed") : describeExit(event.code, event.signal, options.lastWords())),
        );
        break;
      default:
        break;
    }
  };

  const gone = (code: number | null, signal: number | null, text: string): void => {
    child = undefined;
    const problem = portProblem(kind);
    if (ending) over?.();
    else if (code !== 0 && startsAgain(code, signal, text)) return;
    else if (!answers && kind === "preload")
      options.report({ k: "failure", code: "TSD-154", facts: { role: "scheduler", problem: text }, exit: 69 });
    else if (!answers && problem !== undefined && port !== undefined) {
      options.report({
        k: "failure",
        code: "TSD-028",
        facts: { port, host: options.host, problem, option: "--scheduler-port" },
        exit: 69,
      });
    } else options.report({ k: "scheduler-exit", code, signal, why: text, ...(kind === undefined ? {} : { kind }) });
  };

  /** Starts another one in place of one that had answered; false where that is not to be. */
  const startsAgain = (code: number | null, signal: number | null, text: string): boolean => {
    if (readyAt === undefined) return false;
    if (answers && performance.now() - readyAt > cleanRecordAfter) deaths = 0;
    deaths += 1;
    if (deaths > options.restarts) return false;
    if (answers) options.report({ k: "scheduler-exit", code, signal, why: text, restarting: true });
    else options.report({ k: "note", level: "warn", text: `the scheduler could not be started again yet: ${text}` });
    // What the system holds of the one that died, its ports among it, may take a moment to go.
    const wait = answers ? 0 : Math.min(firstPause * 2 ** (deaths - 1), longestPause);
    answers = false;
    pause = setTimeout(launch, wait);
    return true;
  };

  const launch = (): void => {
    why = undefined;
    kind = undefined;
    closing = undefined;
    child = options.start(request, onEvent);
  };

  launch();
  return {
    dashboard: () => child?.tell({ op: "dashboard" }),
    end: (grace) => {
      ending = true;
      clearTimeout(pause);
      return endChild(child, grace, (done) => {
        over = done;
      });
    },
    killNow: () => {
      ending = true;
      clearTimeout(pause);
      child?.kill("SIGKILL");
    },
  };
}

/** The request for a scheduler at the address of one that answered; its dashboard, too, is where it was. */
export function atSamePorts(request: ChildRequest, address: string, dashboard: number | null): ChildRequest {
  const port = Number(/:(\d+)$/.exec(address)?.[1] ?? 0);
  const { kwargs = {}, user_kwargs: users = {} } = request.params as Record<string, Record<string, unknown>>;
  const pages = String(users["dashboard_address"] ?? kwargs["dashboard_address"] ?? ":0");
  const same = {
    ...(port === 0 ? {} : { port }),
    ...(dashboard === null ? {} : { dashboard_address: pages.replace(/(:\d+)?$/, `:${dashboard}`) }),
  };
  // The user's own win over ours.
  const said = Object.fromEntries(Object.entries(same).filter(([name]) => name in users));
  return {
    ...request,
    params: { ...request.params, kwargs: { ...kwargs, ...same }, user_kwargs: { ...users, ...said } },
  };
}

/** The port that was asked for, if one was. */
function portOf({ params }: ChildRequest): number | undefined {
  const { kwargs } = params as { readonly kwargs?: { readonly port?: unknown } };
  return typeof kwargs?.port === "number" ? kwargs.port : undefined;
}

/** What the system's errors of bind(2) mean for a port. */
function portProblem(kind: ChildFailure | undefined): string | undefined {
  if (kind === "port") return portWords.taken;
  return kind === "permission" ? portWords.reserved : undefined;
}
