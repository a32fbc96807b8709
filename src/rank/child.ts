import { connect, type Socket } from "node:net";
import type { ChildRequest } from "../protocol/messages.ts";
import { ownSession } from "./own-session.ts";
import { lineChannel, type Channel } from "../protocol/channel.ts";

/** What a Python child, or the fork server on its behalf, reports on its control connection. */
export type ChildEvent =
  | { readonly event: "forked"; readonly pid: number }
  | { readonly event: "refused"; readonly reason: string; readonly message?: string }
  | { readonly event: "started" }
  | { readonly event: "ready"; readonly [key: string]: unknown }
  | { readonly event: "closing"; readonly reason: string }
  /** The dashboard's pages are there, or why not. */
  | { readonly event: "dashboard"; readonly loaded: boolean; readonly problem?: string | null }
  /** What the script sent cannot be read here, for want of this module. */
  | { readonly event: "missing-module"; readonly module: string }
  | { readonly event: "failed"; readonly code: string; readonly message: string }
  /** `tsdask-mpi stop` has asked the scheduler for the cluster's end: in order, or at once. */
  | { readonly event: "stop-asked"; readonly now: boolean }
  /** What a scheduler was used for, just before it closes. */
  | {
      readonly event: "usage";
      readonly clients: number;
      readonly tasks: number;
      readonly used: number;
      readonly seen: number;
      readonly spilled: number;
    }
  /** A forked child's end comes with its seconds of processor and its greatest resident memory in bytes. */
  | {
      readonly event: "exit";
      readonly code: number | null;
      readonly signal: number | null;
      readonly cpu?: number;
      readonly peak?: number;
    };

export interface ChildSpawn {
  readonly id: string;
  readonly request: ChildRequest;
  /** The rank's process, where another one asks for it: its cores, limits and cgroup are the child's. */
  readonly rankPid?: number;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Where the host's fork server listens; undefined to start a Python of its own. */
  readonly forkSocket: string | undefined;
  readonly python: string;
  readonly pythonRoot: string;
  /** Takes the child's output, standard output and error in one stream. */
  readonly output: (stream: NodeJS.ReadableStream) => void;
  readonly onEvent: (event: ChildEvent) => void;
}

export interface Child {
  /** The child's process id; undefined until it is known. */
  readonly pid: () => number | undefined;
  readonly tell: (message: Readonly<Record<string, unknown>>) => void;
  readonly kill: (signal: NodeJS.Signals) => void;
}

const acceptEvent = (value: unknown): ChildEvent | undefined =>
  typeof value === "object" && value !== null && typeof (value as { event?: unknown }).event === "string"
    ? (value as ChildEvent)
    : undefined;

/**
 * Starts a Dask scheduler or worker, forked by the host's fork server or as a Python of its own. What happens to it comes
 * as events, `exit` last and exactly once; `refused` comes alone and means that nothing was started.
 */
export function startChild(options: ChildSpawn): Child {
  return options.forkSocket === undefined ? execChild(options) : forkChild(options, options.forkSocket);
}

function forkChild(options: ChildSpawn, path: string): Child {
  let pid: number | undefined;
  let over = false;
  const finish = (event: ChildEvent): void => {
    if (over) return;
    over = true;
    options.onEvent(event);
  };
  // What is written before the connection stands waits for it, in order.
  const stdio = connect(path);
  stdio.write(`${JSON.stringify({ op: "stdio", id: options.id })}\n`);
  stdio.on("error", () => stdio.destroy());
  options.output(stdio);
  const control: Socket = connect(path);
  const channel: Channel<Readonly<Record<string, unknown>>, ChildEvent> = lineChannel(control, acceptEvent);
  channel.send({
    op: "fork",
    id: options.id,
    env: options.env,
    cwd: options.cwd,
    ...(options.rankPid === undefined ? {} : { rank_pid: options.rankPid }),
    ...options.request,
  });
  channel.onMessage((event) => {
    if (event.event === "forked") pid = event.pid;
    if (event.event === "exit" || event.event === "refused") finish(event);
    else if (!over) options.onEvent(event);
    if (event.event === "exit") control.destroy();
    if (event.event === "refused") {
      control.destroy();
      stdio.destroy();
    }
  });
  // The server closes the connection only after `exit`: a close without it means that the server itself is gone, and its children with it.
  channel.onClose((reason) => {
    if (!over && pid === undefined) finish({ event: "refused", reason: "server", message: reason });
    else finish({ event: "exit", code: null, signal: 9 });
  });
  return { pid: () => pid, tell: channel.send, kill: (signal) => killPid(pid, signal) };
}

function execChild(options: ChildSpawn): Child {
  // Most ranks never start a process of their own, and loading this costs each 2 ms.
  const { spawn } = process.getBuiltinModule("node:child_process");
  const child = spawn(options.python, [`${options.pythonRoot}/tsdask_mpi/child.py`], {
    cwd: options.cwd,
    env: options.env,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    detached: ownSession(options.env),
  });
  const control = child.stdio[3] as Socket;
  const channel: Channel<Readonly<Record<string, unknown>>, ChildEvent> = lineChannel(control, acceptEvent);
  channel.onMessage((event) => options.onEvent(event));
  channel.onClose(() => undefined);
  if (child.stdout) options.output(child.stdout);
  if (child.stderr) options.output(child.stderr);
  child.on("error", (error) => {
    options.onEvent({ event: "failed", code: "spawn", message: error.message });
    options.onEvent({ event: "exit", code: 127, signal: null });
  });
  child.on("exit", (code, signal) => {
    // A task may have started processes of its own: the child leads their group.
    killPid(child.pid === undefined ? undefined : -child.pid, "SIGKILL");
    options.onEvent({ event: "exit", code, signal: signal === null ? null : signalNumber(signal) });
  });
  if (child.pid !== undefined) {
    options.onEvent({ event: "forked", pid: child.pid });
    channel.send({ op: "fork", id: options.id, env: options.env, cwd: options.cwd, ...options.request });
  }
  return { pid: () => child.pid, tell: channel.send, kill: (signal) => killPid(child.pid, signal) };
}

/** Sends a signal to a process that may be gone already. */
export function killPid(pid: number | undefined, signal: NodeJS.Signals | 0): boolean {
  if (pid === undefined) return false;
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

const numbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGXCPU: 24,
  SIGXFSZ: 25,
};

/** A second signal counts as one only after this long (ms): a terminal and a launcher may both deliver the first. */
export const secondSignalAfter = 300;

/** The number of a signal on Linux; 128 plus it is the exit code of what the signal ended. */
export function signalNumber(name: string): number {
  return numbers[name] ?? 15;
}

/** The name of a Linux signal number, such as `SIGKILL` for 9. */
export function signalName(number: number): string {
  return Object.keys(numbers).find((name) => numbers[name] === number) ?? `signal ${number}`;
}
