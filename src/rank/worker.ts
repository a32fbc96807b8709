import { readFileSync } from "node:fs";
import { leftInOrder, type ChildRequest, type RankEvent } from "../protocol/messages.ts";
import { workerMeter } from "./worker-meter.ts";
import { signalName, type Child } from "./child.ts";
import type { ChildEvent, CloseReason } from "../protocol/fork-server.ts";

export interface WorkerSupervision {
  readonly request: ChildRequest;
  /** The name of this host. */
  readonly host: string;
  /** How often a worker that died is started again before the rank gives up. */
  readonly restarts: number;
  /** Resident bytes at which the worker is killed and started again, as Dask's Nanny does (`distributed.worker.memory.terminate`); 0: never. */
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

/** A worker that died this long (ms) after it was ready starts with a clean record. */
const cleanRecordAfter = 60_000;
const firstPause = 200;
const longestPause = 5_000;
/** How often the worker's memory is looked at, in ms; Dask's Nanny looks as often (`distributed.worker.memory.monitor-interval`: 100 ms). */
const memoryInterval = 200;

/**
 * Is the nanny of one worker: starts it, starts it again when it dies, with a growing pause and a limit, ends it when its
 * memory passes the limit, and leaves it away when the scheduler retired it.
 */
export function superviseWorker(options: WorkerSupervision): SupervisedWorker {
  let scheduler: string | undefined;
  let child: Child | undefined;
  let closing: CloseReason | undefined;
  let why: string | undefined;
  let failures = 0;
  let readyAt: number | undefined;
  let { terminateAt } = options;
  let pause: NodeJS.Timeout | undefined;
  let ending = false;
  /** It would raise the same again. */
  let preloadFailed = false;
  let over: (() => void) | undefined;
  const meter = workerMeter();

  const launch = (): void => {
    closing = undefined;
    why = undefined;
    readyAt = undefined;
    pause = undefined;
    child = options.start(options.request, onEvent);
    if (scheduler !== undefined) child.tell({ op: "address", scheduler });
  };

  const onEvent = (event: ChildEvent): void => {
    switch (event.event) {
      case "ready": {
        readyAt = performance.now();
        const limit = Number(event.memory_limit ?? 0);
        terminateAt = terminateBytes({ terminate: event.terminate, limit, planned: options.terminateAt });
        options.report({
          k: "worker-ready",
          address: event.address,
          name: String(event.name),
          dashboard: event.dashboard ?? null,
          nthreads: event.nthreads ?? 0,
          memoryLimit: limit,
          pid: child?.pid() ?? 0,
        });
        meter.ready({
          pid: child?.pid(),
          threads: event.nthreads ?? 0,
          limit: Number(event.memory_limit ?? 0),
        });
        break;
      }
      case "missing-module":
        options.report({
          k: "warning",
          code: "TSD-162",
          facts: { role: "worker", host: options.host, module: event.module },
        });
        break;
      case "closing":
        closing = event.reason;
        break;
      case "failed":
        why = event.message;
        preloadFailed = event.code === "preload";
        break;
      case "refused":
        gone(`it could not be started: ${event.message}`);
        break;
      case "exit":
        meter.ended(event);
        gone(why ?? describeExit(event.code, event.signal, options.lastWords()));
        break;
      default:
        break;
    }
  };

  const gone = (text: string): void => {
    child = undefined;
    if (ending) {
      over?.();
      return;
    }
    if (preloadFailed) {
      options.report({ k: "failure", code: "TSD-154", facts: { role: "worker", problem: text }, exit: 69 });
      return;
    }
    if (closing === "restart") {
      launch();
      return;
    }
    if (closing !== undefined && leftInOrder.has(closing)) {
      options.report({ k: "worker-away", why: closing });
      return;
    }
    if (readyAt !== undefined && performance.now() - readyAt > cleanRecordAfter) failures = 0;
    failures += 1;
    const restarting = failures <= options.restarts;
    options.report({ k: "worker-lost", why: text, restarting });
    if (restarting) pause = setTimeout(launch, Math.min(firstPause * 2 ** (failures - 1), longestPause));
  };

  const memory = setInterval(() => {
    const pid = child?.pid();
    // Before it is ready it has run nothing of the user's: the start is spared these looks.
    if (pid === undefined || readyAt === undefined || terminateAt === 0) return;
    const resident = residentBytes(pid);
    if (resident === undefined || resident < terminateAt) return;
    why = `it used ${Math.round(resident / 2 ** 20)} MiB, more than its limit allows (it is ended at ${Math.round(terminateAt / 2 ** 20)} MiB)`;
    child?.kill("SIGKILL");
  }, memoryInterval);
  memory.unref();

  launch();
  return {
    address: (address) => {
      scheduler = address;
      child?.tell({ op: "address", scheduler: address });
    },
    end: (grace) => {
      ending = true;
      clearTimeout(pause);
      clearInterval(memory);
      const use = meter.read(child?.pid());
      if (use !== undefined) options.report({ k: "worker-usage", ...use });
      return endChild(child, grace, (done) => {
        over = done;
      });
    },
    killNow: () => {
      ending = true;
      child?.kill("SIGKILL");
    },
  };
}

/** Asks a child to stop, kills it after `grace` seconds; resolves when `whenGone` calls back. */
export async function endChild(
  child: Child | undefined,
  grace: number,
  whenGone: (done: () => void) => void,
): Promise<void> {
  if (child === undefined) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  whenGone(resolve);
  child.tell({ op: "stop", grace });
  const force = setTimeout(() => child.kill("SIGKILL"), grace * 1000);
  // A process that not even SIGKILL ends (a hung file system) must not hold the launch.
  const give = setTimeout(resolve, grace * 1000 + 1000);
  await promise;
  clearTimeout(force);
  clearTimeout(give);
}

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

/** Resident memory of a process in bytes, from Linux' `/proc/<pid>/status`: in kB there, whatever the size of this machine's pages. */
function residentBytes(pid: number): number | undefined {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    // It has just ended: its exit is on the way.
    return undefined;
  }
}

/** The bytes at which a worker is ended: the fraction of its own limit that its Dask configuration names (a number, or `false`: never), else `planned`. */
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
