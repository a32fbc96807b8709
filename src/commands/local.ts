import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { basename } from "node:path";
import type { Writable } from "node:stream";
import { isatty } from "node:tty";
import { ownProgram } from "./program.ts";
import { deadlines } from "../deadlines.ts";
import { exitCodes } from "../errors/exit-codes.ts";
import { Failure } from "../errors/failure.ts";
import { messages } from "../errors/messages.ts";
import { visible } from "../errors/visible.ts";
import { startedBy } from "../launcher/cleaned.ts";
import { isAlive } from "../launcher/proc-stat.ts";
import { builtInPrefix } from "../launcher/neighbours.ts";
import { heardOf, nohupVariables, secondInterrupt, secondSignalAfter, signalNumber } from "../launcher/signals.ts";
import { refuseClosedFolder } from "../security/folder-trouble.ts";
import type { Out } from "../ui/out.ts";
import type { Script } from "../config/options.ts";
import { readFor } from "../config/read-for.ts";
import { plan } from "../cluster/plan.ts";

async function untilGone(pid: number, most: number): Promise<void> {
  for (const until = performance.now() + most; performance.now() < until && isAlive(pid); ) await pause(50);
}

/**
 * The built-in launcher: starts `--np` ranks of this program on this machine and returns the launch's exit code: that
 * of the rank which tells it (128 plus a signal's number when that was killed), else the first of another rank that is
 * not 0. A worker's rank that was killed counts for nothing: the cluster goes on without it. Throws TSD-001 when no
 * number of ranks was given, TSD-112 when there is input but no script, TSD-208 in a folder that may not be entered.
 */
export async function launchLocally({
  program,
  argv,
  env,
  cwd,
  out,
  self,
}: {
  readonly program: "tsdask-mpi" | "dask-mpi";
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly out: Out;
  readonly self: readonly string[];
}): Promise<number> {
  const { options, command } = await readFor(program, argv, env, cwd);
  if (command.kind !== "launch") {
    const { runCommand } = await import("./run.ts");
    return runCommand(command, { env, cwd, stdout: process.stdout, stderr: process.stderr }, program);
  }
  const size = options.np;
  if (options.script?.kind === "command")
    (await import("../config/mistaken.ts")).refuseMistaken(options, { argv, env, cwd, programs: size !== undefined });
  if (size === undefined) {
    const { noLauncher } = await import("../launcher/no-launcher.ts");
    const { failureText } = await import("../ui/failure-text.ts");
    const starter = startedBy(process.ppid, process.pid);
    const failure = noLauncher(starter, program === "tsdask-mpi" ? options.script?.words : []);
    // Each of its ranks would say the same: the first stays until the others have seen it, and they, whose end may be
    // its end, too, until it has left.
    if (failure !== undefined) out.write(failureText(failure));
    if (failure !== undefined && starter !== undefined) await pause(deadlines.sayForAll);
    else if (starter !== undefined) await untilGone(starter.speaker, deadlines.sayForHost);
    return messages["TSD-001"].exit;
  }
  const client = options.script !== undefined || options.jupyter !== undefined;
  // The clusters that serve have no script; whoever pipes one in has forgotten to say so.
  const input = client ? undefined : await import("../cluster/input.ts");
  if (input?.inputWaits() === true) throw new Failure("TSD-112");
  // Too small a world is said here once, before anything is started.
  const { clientRank } = plan({
    size,
    scheduler: options.scheduler,
    schedulerRank: options.schedulerRank,
    clientRank: options.clientRank,
    client,
    exclusiveWorkers: options.exclusiveWorkers,
  });
  refuseClosedFolder(cwd);
  const prompt = isatty(0) && isPrompt(options.script);
  const environment = {
    ...env,
    ...nohupVariables,
    ...(program === "dask-mpi" ? { TSDASK_COMMAND: program } : {}),
    TSDASK_SIZE: String(size),
    TSDASK_LOCAL_SIZE: String(size),
    TSDASK_LAUNCH_ID: `${builtInPrefix}${process.pid}-${randomBytes(6).toString("hex")}`,
    TSDASK_PARENT_FD: "3",
    ...(prompt ? { TSDASK_PROMPT: "1" } : {}),
  };
  const { code: ended, killAll } = startRanks({ size, clientRank, self, argv, env: environment, cwd, prompt, out });
  let refused: Failure | undefined;
  const lookAgain = setTimeout(() => {
    if (input?.inputWaits() !== true) return;
    refused = new Failure("TSD-112");
    killAll("SIGTERM");
  }, deadlines.lateInput);
  const code = await ended;
  clearTimeout(lookAgain);
  if (refused !== undefined) throw refused;
  return code;
}

/** Starts the ranks; `code` resolves to the launch's exit code when all have ended. */
function startRanks({
  size,
  clientRank,
  self: [file = "", ...args],
  argv,
  env,
  cwd,
  prompt,
  out,
}: {
  readonly size: number;
  readonly clientRank: number | undefined;
  readonly self: readonly string[];
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** The script talks with somebody on the terminal. */
  readonly prompt: boolean;
  readonly out: Out;
}): { readonly code: Promise<number>; readonly killAll: (signal: NodeJS.Signals) => void } {
  const shell = ownProgram();
  const ranks: ChildProcess[] = [];
  const { promise, resolve } = Promise.withResolvers<number>();
  const resultRank = clientRank ?? 0;
  let result = 0;
  let other = 0;
  let left = size;

  const onExit = (rank: number, status: number | null, signal: NodeJS.Signals | null): void => {
    left -= 1;
    if (rank === resultRank) result = signal === null ? (status ?? 1) : 128 + signalNumber(signal);
    else if (signal === null && other === 0) other = status ?? 1;
    // The launch may have ended well before, and the other ranks have nothing to say.
    if (rank === resultRank && signal !== null) out.write(`tsdask-mpi: rank ${rank} was ended by ${signal}.\n`);
    if (signal !== null && (rank === 0 || rank === resultRank))
      setTimeout(() => killAll("SIGKILL"), deadlines.withoutRankZero).unref();
    if (left === 0) resolve(result === 0 ? other : result);
  };
  const killAll = (signal: NodeJS.Signals): void => {
    for (const rank of ranks) if (rank.exitCode === null && rank.signalCode === null) rank.kill(signal);
  };
  passSignalsOn(killAll, () => {
    if (!prompt) for (const rank of ranks) tell(rank, secondInterrupt);
  });
  for (let rank = 0; rank < size; rank += 1) {
    // All but the first two stay shells, which is for the start script to see to.
    const [start, ...words] = rank < 2 || shell === undefined ? [file, ...args] : ["/bin/sh", shell];
    const child = spawn(start, [...words, ...argv], {
      cwd,
      env: { ...env, TSDASK_RANK: String(rank), TSDASK_LOCAL_RANK: String(rank) },
      stdio: [rank === clientRank ? "inherit" : "ignore", "inherit", "inherit", "pipe"],
    });
    child.on("exit", (status, signal) => onExit(rank, status, signal));
    child.on("error", ({ message }) => {
      if (left === size) out.write(`tsdask-mpi: rank ${rank} could not be started: ${visible(message)}.\n`);
      onExit(rank, exitCodes.notStarted, null);
    });
    ranks.push(child);
  }
  // Rank 0 hears that no rank is started any more: at the end it waits for none that has died unmet.
  tell(ranks[0], "\n");
  return { code: promise, killAll };
}

/** Says something to a rank by its pipe; one that has ended hears nothing. */
function tell(rank: ChildProcess | undefined, word: string): void {
  const pipe = rank?.stdio?.[3] as Writable | null | undefined;
  if (pipe?.listenerCount("error") === 0) pipe.on("error", () => undefined);
  pipe?.write(word);
}

/**
 * The ranks hear a terminal's Ctrl-C twice, from it and from here, however much later: whether it was a second one is
 * counted here, and said by `onSecondInterrupt`.
 */
function passSignalsOn(killAll: (signal: NodeJS.Signals) => void, onSecondInterrupt: () => void): void {
  let first: number | undefined;
  let interrupts = 0;
  for (const name of heardOf(["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"]))
    process.on(name, () => {
      const now = performance.now();
      first ??= now;
      killAll(name);
      if (name !== "SIGINT") return;
      interrupts += 1;
      if (interrupts > 1 || now - first > secondSignalAfter) onSecondInterrupt();
    });
}

const prompts = /^(ipython|ptpython|bpython|ptipython|bash|zsh|fish|sh|dash|ksh|tcsh)[\d.]*$/;
const pythons = /^(python|pypy)[\d.]*$/;

/**
 * Whether this, on a terminal, is a conversation in which Ctrl-C ends a line and not the launch: a shell, IPython, a
 * Python that was given no program or `-i`, or a debugger.
 */
export function isPrompt(script: Script | undefined): boolean {
  if (script === undefined || script.kind === "notebook" || script.kind === "python") return false;
  if (script.kind === "stdin") return true;
  const [program = "", ...args] = script.words;
  const name = basename(program);
  if (prompts.test(name)) return !args.includes("-c") && !args.some((word) => !word.startsWith("-"));
  if (!pythons.test(name)) return false;
  const options = args.slice(0, Math.max(0, args.findIndex((word) => !word.startsWith("-")) + 1 || args.length));
  if (options.some((word) => /^-[a-zA-Z]*i/.test(word))) return true;
  const module = args[args.indexOf("-m") + 1] ?? "";
  if (args[0] === "-m") return /^(IPython|pdb|ipdb|code|ptpython|bpython)$/.test(module);
  return args.every((word) => word.startsWith("-") && word !== "-c");
}
