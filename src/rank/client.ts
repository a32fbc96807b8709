import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { basename, delimiter, dirname, join } from "node:path";
import { execa } from "execa";
import type { CompanionRequest } from "../protocol/fork-server.ts";
import type { ClientStart, RankEvent } from "../protocol/messages.ts";
import { signalNumber } from "../launcher/signals.ts";
import { endChild, killPid } from "./child.ts";
import { watchInput, watchReturn } from "./input-wait.ts";
import { ownSession } from "./own-session.ts";
import { commandFile, withPython } from "./python-path.ts";
import { endLeftBehind, scriptMark } from "./orphans.ts";
import type { RelayedInput } from "./stdin.ts";
import { procStat } from "../launcher/proc-stat.ts";

export interface ClientRun {
  readonly signal: (name: NodeJS.Signals) => void;
  /** Ends the script if it still runs: SIGTERM, then SIGKILL after `grace` seconds. */
  readonly end: (grace: number) => Promise<void>;
  readonly killNow: () => void;
  /** A piece of rank 0's standard input (base64) for the script, or its end. */
  readonly input: (data: string | null) => void;
}

export interface ClientOptions {
  readonly start: ClientStart;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** This host's address that the others reach. */
  readonly address: string;
  readonly watchdogSocket: string;
  readonly pythonRoot: string;
  readonly report: (event: RankEvent) => void;
}

/**
 * Runs the user's script (or JupyterLab): its standard streams are this rank's own descriptors, untouched.
 * `watchdogSocket` is the host's fork server, which kills the script should this process be killed outright. Throws
 * TSD-028 for a port that is taken.
 */
export async function runClient(options: ClientOptions): Promise<ClientRun> {
  const { start, cwd, watchdogSocket, report } = options;
  const mark = `${process.pid}.${randomBytes(6).toString("hex")}`;
  const env = scriptEnvironment(options, mark);
  // Launchers signal a rank's whole group, and the rank tells the script: it is to hear each signal once. On a terminal
  // it stays where the terminal's keys reach it, and in a PBS job where PBS, which signals all of a session, kills it.
  const terminal = hearsTerminal();
  const jupyter =
    start.jupyter === undefined
      ? undefined
      : await (await import("./jupyter.ts")).prepareJupyter({ ...options, env, folder: dirname(watchdogSocket) });
  const relayed = start.stdin === undefined ? undefined : await relayFor(start.stdin, watchdogSocket, report);
  // execa takes any descriptor; its types know only the standard ones here.
  const stdin = relayed === undefined ? "inherit" : (relayed.fd as 0);
  const child = execa(commandFile(start.file, start.python), jupyter?.args ?? start.args, {
    cwd,
    env: { ...env, ...jupyter?.env },
    extendEnv: false,
    stdio: [stdin, "inherit", "inherit"],
    reject: false,
    cleanup: false,
    detached: !terminal && ownSession(options.env),
  });
  const { pid } = child;
  const watchdog = pid === undefined ? undefined : watch(watchdogSocket, pid);
  let started = pid === undefined;
  const tellStarted = (): void => {
    if (!started) report({ k: "client-started", pid: pid ?? 0 });
    started = true;
  };
  afterHearing(tellStarted);
  relayed?.started();
  const unwatch = pid === undefined || jupyter !== undefined ? [] : watchScript(pid, start, report);
  let over = false;
  let stopped = false;
  let givenUp = false;
  const done = child.then(async (result) => {
    over = true;
    for (const stop of unwatch) stop();
    const left = pid === undefined ? [] : await endLeftBehind(mark);
    if (left.length > 0) {
      const text = `the script left processes behind, which were ended: ${left.join(", ")}`;
      report({ k: "note", level: "info", text });
    }
    watchdog?.destroy();
    relayed?.close();
    // One that was over at once.
    tellStarted();
    if (!givenUp) report(pid === undefined ? couldNotStart(start.file, result) : clientExit(result, stopped));
  });
  void jupyter?.announce(pid, () => over);
  return {
    signal: (name) => {
      if (name === "SIGINT" && terminal) return;
      // Jupyter asks on its terminal whether it should really end on SIGINT.
      killPid(pid, jupyter === undefined ? name : "SIGTERM");
    },
    end: async (grace) => {
      if (over || pid === undefined) return;
      const script = {
        tell: () => void killPid(pid, "SIGTERM"),
        kill: (signal: NodeJS.Signals) => void killPid(pid, signal),
      };
      await endChild(script, grace, (gone) => void done.then(gone, gone));
      if (over) {
        // What a script that is over left behind has deadlines of its own.
        await done;
        return;
      }
      givenUp = true;
      report(clientExit({ signal: "SIGKILL" }, stopped));
    },
    killNow: () => {
      stopped = true;
      killPid(pid, "SIGKILL");
    },
    input: (data) => relayed?.take(data),
  };
}

/**
 * Calls back when what came while this process loaded and started things is heard: an order to end may be among it,
 * from a leader that has left by now. Who writes to that one first gets EPIPE, upon which Node closes the connection
 * with what is unread. The second round of the loop has looked at all connections.
 */
function afterHearing(done: () => void): void {
  setImmediate(() => setImmediate(done));
}

/**
 * What the script has in its environment: the rank's own, the cluster's, and a mark by which what it starts is known.
 */
function scriptEnvironment(
  { start, env, watchdogSocket, pythonRoot }: ClientOptions,
  mark: string,
): Record<string, string> {
  const full: Record<string, string> = { ...withPython(env, start.python), [scriptMark]: mark };
  // A notebook's kernel has its sockets in there: the folder goes with the host's, whoever is killed.
  if (watchdogSocket !== undefined) full["TSDASK_HOST_FOLDER"] = dirname(watchdogSocket);
  for (const [name, value] of Object.entries(start.env)) {
    if (value === null) delete full[name];
    else full[name] = value;
  }
  if (full["TSDASK_CLUSTERS"] !== undefined && asksEncryption(env)) full["TSDASK_CLUSTERS"] += ",encrypted";
  if (full["TSDASK_CLUSTERS"] !== undefined) full["PYTHONPATH"] = pathWithOurs(pythonRoot, full["PYTHONPATH"]);
  return full;
}

/** Whether the user has Dask require encryption of other clusters than this launch, too. */
function asksEncryption(env: Readonly<Record<string, string>>): boolean {
  return !/^(false|0|none|null|)$/i.test(env["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] ?? "");
}

/** Tells when the script waits for input, or has returned with a thread left; returns what ends the watches. */
function watchScript(
  pid: number,
  { args: [argument = ""], file }: ClientStart,
  report: ClientOptions["report"],
): (() => void)[] {
  const script = basename(argument.endsWith(".py") ? argument : file);
  return [
    watchInput({
      pid,
      onWait: (seconds) => report({ k: "warning", code: "TSD-117", facts: { script, seconds } }),
    }),
    watchReturn({
      pid,
      onStay: (stayed, seconds) => report({ k: "warning", code: "TSD-118", facts: { script, seconds, pid: stayed } }),
    }),
  ];
}

function couldNotStart(file: string, result: unknown): RankEvent {
  const error = result as { code?: string; originalMessage?: string };
  const problem = startProblems[error.code ?? ""] ?? error.originalMessage ?? error.code;
  return { k: "failure", code: "TSD-052", facts: { file, problem }, exit: error.code === "ENOENT" ? 127 : 126 };
}

function clientExit(
  { exitCode, signal }: { readonly exitCode?: number | undefined; readonly signal?: string | undefined },
  stopped: boolean,
): RankEvent {
  if (signal === undefined) return { k: "client-exit", code: exitCode ?? 1 };
  // Whoever sent a second signal ended it: its SIGKILL is ours, not one for want of memory.
  const name = stopped && signal === "SIGKILL" ? "SIGINT" : signal;
  return { k: "client-exit", code: 128 + signalNumber(name), signal: name };
}

async function relayFor(
  stdin: NonNullable<ClientStart["stdin"]>,
  watchdogSocket: string,
  report: (event: RankEvent) => void,
): Promise<RelayedInput | undefined> {
  const { needsRelay, relayedInput } = await import("./stdin.ts");
  return needsRelay(stdin) ? relayedInput({ watchdogSocket, report }) : undefined;
}

/**
 * PYTHONPATH with the folder first whose sitecustomize makes the script's clusters this one; an empty element in it
 * means the working folder, an empty PYTHONPATH nothing.
 */
function pathWithOurs(pythonRoot: string, theirs = ""): string {
  const folder = join(pythonRoot, "tsdask_mpi", "adopt");
  return theirs === "" ? folder : `${folder}${delimiter}${theirs}`;
}

/**
 * Whether this process is in the group that a terminal signals when Ctrl-C is pressed (proc(5), `pgrp` and `tpgid` of
 * stat).
 */
function hearsTerminal(): boolean {
  const stat = procStat("self");
  return stat !== undefined && stat.group === stat.foreground;
}

/** What the system's error numbers of execve(2) mean to whoever wrote the command. */
const startProblems: Readonly<Record<string, string>> = {
  ENOENT: "there is no such program (or not the interpreter in its first line)",
  EACCES: "it is not executable",
  ENOEXEC: "it is not a program of this machine, and has no interpreter in its first line",
  E2BIG: "its arguments and environment are too long",
};

/**
 * Asks the fork server to kill `pid` when the returned connection closes, which it does at the latest when this process
 * ends.
 */
function watch(path: string, pid: number): { destroy: () => void } {
  const socket = connect(path, () => {
    socket.write(`${JSON.stringify({ op: "watch", pid } satisfies CompanionRequest)}\n`);
  });
  socket.on("error", () => socket.destroy());
  socket.unref();
  return socket;
}
