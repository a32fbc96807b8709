import type { ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { procStat } from "../launcher/proc-stat.ts";
import { signalNumber } from "../launcher/signals.ts";
import { callAfter } from "../timers.ts";
import type { ChildRequest } from "../protocol/messages.ts";
import { ownSession } from "./own-session.ts";
import { lineChannel, type Channel } from "../protocol/channel.ts";
import {
  acceptChildEvent,
  forkServerVersion,
  type ChildCommand,
  type ChildEvent,
  type CompanionRequest,
  type ForkRequest,
} from "../protocol/fork-server.ts";

export interface ChildSpawn {
  readonly id: string;
  readonly request: ChildRequest;
  /** The rank's process, where another one asks for it: its cores, limits, cgroup and memory policy are the child's. */
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
  readonly tell: (command: ChildCommand) => void;
  readonly kill: (signal: NodeJS.Signals) => void;
}

/**
 * Starts a Dask scheduler or worker, forked by the host's fork server or as a Python of its own. What happens to it
 * comes as events, `exit` last and exactly once; `refused` comes alone and means that nothing was started.
 */
export function startChild(options: ChildSpawn): Child {
  return options.forkSocket === undefined ? execChild(options) : forkChild(options, options.forkSocket);
}

function forkChild(options: ChildSpawn, path: string): Child {
  let pid: number | undefined;
  /** What was to be sent to it before its pid was known. */
  let early: NodeJS.Signals | undefined;
  let over = false;
  const finish = (event: ChildEvent): void => {
    if (over) return;
    over = true;
    options.onEvent(event);
  };
  // What is written before the connection stands waits for it, in order.
  const stdio = connect(path);
  stdio.write(`${JSON.stringify({ op: "stdio", id: options.id } satisfies CompanionRequest)}\n`);
  stdio.on("error", () => stdio.destroy());
  options.output(stdio);
  const control: Socket = connect(path);
  const channel: Channel<ForkRequest | ChildCommand, ChildEvent> = lineChannel(control, acceptChildEvent);
  channel.send({
    op: "fork",
    id: options.id,
    env: options.env,
    cwd: options.cwd,
    ...(options.rankPid === undefined ? {} : { rank_pid: options.rankPid }),
    ...options.request,
  });
  channel.onMessage((event) => {
    if (event.event === "forked") {
      pid = event.pid;
      if (early !== undefined) killPid(pid, early);
    }
    if (event.event === "exit" || event.event === "refused") finish(event);
    else if (!over) options.onEvent(event);
    if (event.event === "exit") control.destroy();
    if (event.event === "refused") {
      control.destroy();
      stdio.destroy();
    }
  });
  // The server closes the connection only after `exit`: a close without it means that the server itself is gone, and
  // its children with it.
  channel.onClose((reason) => {
    if (!over && pid === undefined) finish({ event: "refused", reason: "server", message: reason });
    else finish({ event: "exit", code: null, signal: 9 });
  });
  const kill = (signal: NodeJS.Signals): void => {
    if (pid === undefined) early = signal;
    else killPid(pid, signal);
  };
  return { pid: () => pid, tell: channel.send, kill };
}

function execChild(options: ChildSpawn): Child {
  const notStarted = (error: Error): void => {
    options.onEvent({ event: "failed", code: "spawn", message: error.message });
    options.onEvent({ event: "exit", code: 127, signal: null });
  };
  const child = spawnPython(options);
  if (child instanceof Error) {
    // An event as all others: whoever starts a child does not have it yet.
    setImmediate(notStarted, child);
    return noChild;
  }
  child.on("error", notStarted);
  child.on("exit", (code, signal) => {
    // A task may have started processes of its own: the child leads their group.
    if (child.pid !== undefined) endGroup(child.pid);
    options.onEvent({ event: "exit", code, signal: signal === null ? null : signalNumber(signal) });
  });
  // Without descriptors for them it has no streams: `error` comes.
  const control = (child.stdio as typeof child.stdio | undefined)?.[3];
  if (control === undefined) return noChild;
  const channel: Channel<ForkRequest | ChildCommand, ChildEvent> = lineChannel(control as Socket, acceptChildEvent);
  channel.onMessage((event) => options.onEvent(event));
  channel.onClose(() => undefined);
  if (child.stdout) options.output(child.stdout);
  if (child.stderr) options.output(child.stderr);
  if (child.pid !== undefined) {
    options.onEvent({ event: "forked", pid: child.pid });
    const { id, env, cwd } = options;
    channel.send({ op: "fork", version: forkServerVersion, id, env, cwd, ...options.request });
  }
  return { pid: () => child.pid, tell: channel.send, kill: (signal) => killPid(child.pid, signal) };
}

/** What stands for a child that could not be started. */
const noChild: Child = { pid: () => undefined, tell: () => undefined, kill: () => undefined };

/** Starts a Python; returns what keeps it from that where Node does not say so by an event (ENOMEM, E2BIG). */
function spawnPython({ python, pythonRoot, cwd, env }: ChildSpawn): ChildProcess | Error {
  // Most ranks never start a process of their own, and loading this costs each 2 ms.
  const { spawn } = process.getBuiltinModule("node:child_process");
  try {
    return spawn(python, [`${pythonRoot}/tsdask_mpi/child.py`], {
      cwd,
      env,
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      detached: ownSession(env),
    });
  } catch (error) {
    return error as Error;
  }
}

/** Asks a child to stop, kills it after `grace` seconds; resolves when `whenGone` calls back. */
export async function endChild(
  child: Pick<Child, "tell" | "kill"> | undefined,
  grace: number,
  whenGone: (done: () => void) => void,
): Promise<void> {
  if (child === undefined) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  whenGone(resolve);
  child.tell({ op: "stop", grace });
  const noForce = callAfter(grace * 1000, () => child.kill("SIGKILL"));
  // A process that not even SIGKILL ends (a hung file system) must not hold the launch.
  const noLonger = callAfter(grace * 1000 + 1000, resolve);
  await promise;
  noForce();
  noLonger();
}

/**
 * Kills what is left of a process group, but for resource trackers, which remove what it left in shared memory and end
 * (`compat/resource_tracker.py`).
 */
function endGroup(group: number): void {
  if (!killPid(-group, 0)) return;
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (Number.isInteger(pid) && procStat(pid)?.group === group && !isTracker(pid)) killPid(pid, "SIGKILL");
  }
}

/**
 * Whether a process is a resource tracker, which ends by itself once what it looks after is released;
 * compat/resource_tracker.py asks the same.
 */
export function isTracker(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("resource_tracker import main");
  } catch {
    return false; // It has ended.
  }
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
