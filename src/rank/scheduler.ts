import { deadlines } from "../deadlines.ts";
import { bokehWanted } from "../dask/bokeh.ts";
import type { ChildRequest, RankEvent, SchedulerRequest } from "../protocol/messages.ts";
import { portWords } from "../net/port-words.ts";
import { secondSignalAfter, signalNumber } from "../launcher/signals.ts";
import { endChild, type Child } from "./child.ts";
import type { ChildEvent, ChildFailure, CloseReason } from "../protocol/fork-server.ts";
import { restartRecord, type RestartRecord } from "./restarts.ts";
import { describeExit, interrupted } from "./worker.ts";

export interface SchedulerSupervision {
  readonly request: SchedulerRequest;
  readonly python: string;
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

/**
 * Starts the Dask scheduler. One that dies takes the cluster's state with it, so its end is the launch's; unless
 * restarts are allowed, and another one takes its place, at the same ports.
 */
export function superviseScheduler(options: SchedulerSupervision): SupervisedScheduler {
  const supervisor = new SchedulerSupervisor(options);
  supervisor.launch();
  return {
    dashboard: () => supervisor.dashboard(),
    end: (grace) => supervisor.end(grace),
    killNow: () => supervisor.killNow(),
  };
}

class SchedulerSupervisor {
  readonly #options: SchedulerSupervision;
  /** The port that the user asked for. */
  readonly #port: number | undefined;
  #request: SchedulerRequest;
  #child: Child | undefined;
  #why: string | undefined;
  /** Python's word for the exception that `why` tells of. */
  #kind: ChildFailure | undefined;
  #closing: CloseReason | undefined;
  #answers = false;
  readonly #record: RestartRecord;
  #readyAt: number | undefined;
  #pause: NodeJS.Timeout | undefined;
  #ending = false;
  #over: (() => void) | undefined;

  constructor(options: SchedulerSupervision) {
    this.#options = options;
    this.#request = options.request;
    this.#port = portOf(options.request);
    this.#record = restartRecord(options.restarts);
  }

  readonly launch = (): void => {
    this.#why = undefined;
    this.#kind = undefined;
    this.#closing = undefined;
    this.#child = this.#options.start(this.#request, this.#onEvent);
  };

  dashboard(): void {
    this.#child?.tell({ op: "dashboard" });
  }

  end(grace: number): Promise<void> {
    this.#ending = true;
    clearTimeout(this.#pause);
    return endChild(this.#child, grace, (done) => {
      this.#over = done;
    });
  }

  killNow(): void {
    this.#ending = true;
    clearTimeout(this.#pause);
    this.#child?.kill("SIGKILL");
  }

  readonly #onEvent = (event: ChildEvent): void => {
    const { report, host, lastWords } = this.#options;
    switch (event.event) {
      case "ready":
        if (event.kind === "scheduler") this.#ready(event);
        break;
      case "lacking":
        report({ k: "warning", code: "TSD-180", facts: { host, problem: event.message } });
        break;
      case "usage": {
        const { clients, tasks, used, seen, spilled, unrunnable } = event;
        report({ k: "scheduler-usage", clients, tasks, used, seen, spilled, unrunnable });
        break;
      }
      case "stop-asked":
        // As from outside: the first signal ends the launch in order, a second one at once.
        process.kill(process.pid, "SIGTERM");
        if (event.now) setTimeout(() => process.kill(process.pid, "SIGTERM"), 2 * secondSignalAfter);
        break;
      case "dashboard":
        if (event.problem !== null)
          report({
            k: "warning",
            code: "TSD-158",
            facts: { problem: event.problem, wanted: bokehWanted(event.problem) },
          });
        break;
      case "missing-module":
        report({ k: "warning", code: "TSD-162", facts: { role: "scheduler", host, module: event.module } });
        break;
      case "closing":
        this.#closing = event.reason;
        break;
      case "failed":
        this.#why = event.message;
        this.#kind = event.code;
        break;
      case "refused":
        this.#gone(null, null, `it could not be started: ${event.message}`);
        break;
      case "exit": {
        const { code, signal } = event;
        if (this.#closing === "stop" && !this.#ending) {
          const lost = (): void => this.#gone(null, signalNumber("SIGINT"), interrupted);
          this.#child = undefined;
          this.#pause = setTimeout(lost, deadlines.sameSignal);
          break;
        }
        const how = code === 0 ? (this.#closing ?? "closed") : describeExit(code, signal, lastWords());
        this.#gone(code, signal, this.#why ?? how);
        break;
      }
      default:
        break;
    }
  };

  #ready(event: Extract<ChildEvent, { event: "ready"; kind: "scheduler" }>): void {
    this.#answers = true;
    this.#readyAt = performance.now();
    const { dashboard } = event;
    this.#request = atSamePorts(this.#request, event.address, dashboard);
    this.#options.report({
      k: "scheduler-ready",
      address: event.address,
      identity: event.identity,
      dashboard,
      ...(event.https ? { https: true } : {}),
    });
  }

  #gone(code: number | null, signal: number | null, why: string): void {
    this.#child = undefined;
    const { report, host, python } = this.#options;
    const kind = this.#kind;
    const problem = portProblem(kind);
    if (this.#ending) this.#over?.();
    else if (code !== 0 && this.#startsAgain(code, signal, why)) return;
    else if (!this.#answers && kind === "preload")
      report({ k: "failure", code: "TSD-154", facts: { role: "scheduler", problem: why }, exit: 69 });
    else if (!this.#answers && kind === "incompatible")
      report({ k: "failure", code: "TSD-179", facts: { host, python, problem: why }, exit: 69 });
    else if (!this.#answers && problem !== undefined && this.#port !== undefined) {
      const facts = { port: this.#port, host, problem, option: "--scheduler-port" };
      report({ k: "failure", code: "TSD-028", facts, exit: 69 });
    } else {
      const reason = code === 0 ? this.#closing : undefined;
      const known = { ...(kind === undefined ? {} : { kind }), ...(reason === undefined ? {} : { reason }) };
      report({ k: "scheduler-exit", code, signal, why, ...known });
    }
  }

  /** Starts another one in place of one that had answered; false where that is not to be. */
  #startsAgain(code: number | null, signal: number | null, why: string): boolean {
    const { report } = this.#options;
    if (this.#readyAt === undefined) return false;
    const pause = this.#record.died(this.#answers ? this.#readyAt : undefined);
    if (pause === undefined) return false;
    if (this.#answers) report({ k: "scheduler-exit", code, signal, why, restarting: true });
    else report({ k: "note", level: "warn", text: `the scheduler could not be started again yet: ${why}` });
    // What the system holds of the one that died, its ports among it, may take a moment to go.
    const wait = this.#answers ? 0 : pause;
    this.#answers = false;
    this.#pause = setTimeout(this.launch, wait);
    return true;
  }
}

/** The request for a scheduler at the address of one that answered; its dashboard, too, is where it was. */
export function atSamePorts(request: SchedulerRequest, address: string, dashboard: number | null): SchedulerRequest {
  const port = Number(/:(\d+)$/.exec(address)?.[1] ?? 0);
  const { kwargs = {}, user_kwargs: users = {} } = request.params;
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
function portOf({ params }: SchedulerRequest): number | undefined {
  const port = params.kwargs?.["port"];
  return typeof port === "number" ? port : undefined;
}

/** What the system's errors of bind(2) mean for a port. */
function portProblem(kind: ChildFailure | undefined): string | undefined {
  if (kind === "port") return portWords.taken;
  return kind === "permission" ? portWords.reserved : undefined;
}
