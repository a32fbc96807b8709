import { deadlines } from "../deadlines.ts";
import {
  leftInOrder,
  type ChildRequest,
  type LossCause,
  type RankEvent,
  type WorkerRequest,
} from "../protocol/messages.ts";
import { schedulerWatch } from "./scheduler-watch.ts";
import { ownMemory } from "./proc-memory.ts";
import { restartRecord, type RestartRecord } from "./restarts.ts";
import { workerMeter, type WorkerUse } from "./worker-meter.ts";
import { signalName, signalNumber } from "../launcher/signals.ts";
import { endChild, type Child } from "./child.ts";
import { neverStarts } from "./worker-trouble.ts";
import type { ChildEvent, CloseReason } from "../protocol/fork-server.ts";

export interface WorkerSupervision {
  readonly request: WorkerRequest;
  readonly python: string;
  /** The name of this host. */
  readonly host: string;
  /** How often a worker that died is started again before the rank gives up. */
  readonly restarts: number;
  /** When its scheduler dies, another one takes its place. */
  readonly schedulerReturns: boolean;
  /**
   * Resident bytes at which the worker is killed and started again, as Dask's Nanny does
   * (`distributed.worker.memory.terminate`); 0: never.
   */
  readonly terminateAt: number;
  readonly start: (request: ChildRequest, onEvent: (event: ChildEvent) => void) => Child;
  readonly report: (event: RankEvent) => void;
  /** The last words of the worker's output, for the message that tells why it died. */
  readonly lastWords: () => string;
}

export interface SupervisedWorker {
  readonly address: (scheduler: string) => void;
  /** Ends the worker: in order within `grace` seconds, then by force. */
  readonly end: (grace: number) => Promise<void>;
  readonly killNow: () => void;
}

/**
 * How often the worker's memory is looked at, in ms; Dask's Nanny looks as often
 * (`distributed.worker.memory.monitor-interval`: 100 ms).
 */
const memoryInterval = 200;

/**
 * Supervises one worker: starts it, starts it again when it dies, with a growing pause and a limit, ends it when its
 * memory passes the limit, and leaves it away when the scheduler retired it.
 */
export function superviseWorker(options: WorkerSupervision): SupervisedWorker {
  const supervisor = new WorkerSupervisor(options);
  supervisor.launch();
  return {
    address: (scheduler) => supervisor.address(scheduler),
    end: (grace) => supervisor.end(grace),
    killNow: () => supervisor.killNow(),
  };
}

class WorkerSupervisor {
  readonly #options: WorkerSupervision;
  readonly #meter = workerMeter();
  readonly #memory: NodeJS.Timeout;
  readonly #scheduler = schedulerWatch();
  readonly #own = ownMemory();
  readonly #record: RestartRecord;
  #child: Child | undefined;
  #closing: CloseReason | undefined;
  #why: string | undefined;
  #cause: LossCause | undefined;
  #readyAt: number | undefined;
  #terminateAt: number;
  /** The most, in bytes, that is taken off the worker's memory for what it shares. */
  #mostShared = Infinity;
  #pause: NodeJS.Timeout | undefined;
  #ending = false;
  #usageComes = false;
  /** Why it cannot start, however often it is tried. */
  #trouble: ReturnType<typeof neverStarts>;
  #wasReady = false;
  #over: (() => void) | undefined;

  constructor(options: WorkerSupervision) {
    this.#options = options;
    this.#terminateAt = options.terminateAt;
    this.#record = restartRecord(options.restarts);
    this.#memory = setInterval(() => this.#lookAtMemory(), memoryInterval);
    this.#memory.unref();
  }

  readonly launch = (): void => {
    this.#closing = undefined;
    this.#why = undefined;
    this.#cause = undefined;
    this.#readyAt = undefined;
    this.#pause = undefined;
    this.#child = this.#options.start(this.#options.request, this.#onEvent);
    this.#scheduler.start(this.#child);
  };

  address(scheduler: string): void {
    this.#scheduler.heard(scheduler);
  }

  end(grace: number): Promise<void> {
    this.#ending = true;
    clearTimeout(this.#pause);
    this.#scheduler.stop();
    clearInterval(this.#memory);
    const use = this.#meter.read(this.#child?.pid());
    // Of one that has just ended by itself, there is nothing to read any more: what it used comes with its exit.
    this.#usageComes = use?.peak === 0 && this.#child !== undefined;
    if (!this.#usageComes) this.#tellUsage(use);
    return endChild(this.#child, grace, (done) => {
      this.#over = done;
    });
  }

  killNow(): void {
    this.#ending = true;
    this.#child?.kill("SIGKILL");
  }

  readonly #onEvent = (event: ChildEvent): void => {
    const { report, host, python, lastWords } = this.#options;
    switch (event.event) {
      case "ready":
        if (event.kind === "worker") this.#ready(event);
        break;
      case "missing-module":
        report({ k: "warning", code: "TSD-162", facts: { role: "worker", host, module: event.module } });
        break;
      case "closing":
        this.#closing = event.reason;
        break;
      case "failed":
        this.#why = event.message;
        this.#trouble = this.#wasReady ? undefined : neverStarts(event, { host, python });
        break;
      case "refused":
        this.#gone(`it could not be started: ${event.message}`);
        break;
      case "exit":
        this.#meter.ended(event);
        if (this.#usageComes) this.#tellUsage(this.#meter.read(undefined));
        if (this.#closing === "stop" && !this.#ending) {
          this.#child = undefined;
          this.#pause = setTimeout(() => this.#gone(interrupted), deadlines.sameSignal);
        } else {
          const why = this.#why ?? describeExit(event.code, event.signal, lastWords());
          this.#cause ??= lossCause(event.signal, why);
          this.#gone(why);
        }
        break;
      default:
        break;
    }
  };

  #tellUsage(use: WorkerUse | undefined): void {
    this.#usageComes = false;
    if (use !== undefined) this.#options.report({ k: "worker-usage", ...use });
  }

  #ready(event: Extract<ChildEvent, { event: "ready"; kind: "worker" }>): void {
    this.#readyAt = performance.now();
    this.#wasReady = true;
    const limit = Number(event.memory_limit ?? 0);
    const threads = event.nthreads ?? 0;
    const pid = this.#child?.pid();
    this.#terminateAt = terminateBytes({
      terminate: event.terminate,
      limit,
      planned: this.#options.terminateAt,
    });
    this.#mostShared = event.shared ?? Infinity;
    this.#options.report({
      k: "worker-ready",
      address: event.address,
      name: event.name,
      dashboard: event.dashboard,
      nthreads: threads,
      memoryLimit: limit,
      pid: pid ?? 0,
    });
    this.#meter.ready({ pid, threads, limit, shared: this.#mostShared });
  }

  #gone(why: string): void {
    this.#child = undefined;
    const { report } = this.#options;
    if (this.#ending) this.#over?.();
    else if (this.#trouble !== undefined) report({ k: "failure", ...this.#trouble, exit: 69 });
    else if (this.#closing === "restart") this.launch();
    else if (this.#closing === "scheduler-lost" && this.#options.schedulerReturns) {
      this.#scheduler.lost();
      report({ k: "worker-waits" });
      this.launch();
    } else if (this.#closing !== undefined && leftInOrder.has(this.#closing))
      report({ k: "worker-away", why: this.#closing });
    else {
      const pause = this.#record.died(this.#readyAt);
      const cause = this.#cause === undefined ? {} : { cause: this.#cause };
      report({ k: "worker-lost", why, restarting: pause !== undefined, ...cause });
      if (pause !== undefined) this.#pause = setTimeout(this.launch, pause);
    }
  }

  #lookAtMemory(): void {
    const pid = this.#child?.pid();
    const limit = this.#terminateAt;
    // Before it is ready it has run nothing of the user's: the start is spared these looks.
    if (pid === undefined || this.#readyAt === undefined || limit === 0) return;
    const own = this.#own(pid, limit, this.#mostShared);
    if (own < limit) return;
    const [used, ended] = [own, limit].map((bytes) => Math.round(bytes / 2 ** 20));
    this.#why = `it used ${used} MiB, more than its limit allows (it is ended at ${ended} MiB)`;
    this.#cause = "memory";
    this.#child?.kill("SIGKILL");
  }
}

/** Why it was lost, by the signal that ended it and by Python's own words for want of memory. */
function lossCause(signal: number | null, words: string): LossCause | undefined {
  if (words.includes("MemoryError")) return "memory";
  return signal === signalNumber("SIGKILL") ? "killed" : undefined;
}

/** Why a child has stopped though its rank did not say so: it heard SIGINT (`control_commands.py`). */
export const interrupted = "it was told to end (SIGINT), by nobody of this launch";

/** How a process ended, in words, with the last lines that it wrote. */
export function describeExit(code: number | null, signal: number | null, lastWords: string): string {
  const how =
    signal === 9
      ? "it was killed (SIGKILL): by the system for want of memory, or by somebody"
      : signal !== null
        ? `it was ended by ${signalName(signal)}`
        : `it ended with exit code ${code ?? "?"}`;
  const words = lastWords.trim();
  return words === "" ? how : `${how}; its last words: ${words.split("\n").slice(-3).join(" | ").slice(-600)}`;
}

/**
 * The bytes at which a worker is ended: the fraction of its own limit that its Dask configuration names (a number, or
 * `false`: never, as for a Nanny, which does so itself), else `planned`.
 */
export function terminateBytes({
  terminate,
  limit,
  planned,
}: {
  readonly terminate: unknown;
  readonly limit: number;
  readonly planned: number;
}): number {
  if (planned === 0 || terminate === false) return 0;
  return typeof terminate === "number" && terminate >= 0 && limit > 0 ? Math.floor(limit * terminate) : planned;
}
