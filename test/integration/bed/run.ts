import { spawn } from "node:child_process";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { type Command, plainEnvironment } from "./command.ts";
import { killTree } from "./processes.ts";

export interface RunOptions {
  /** Working directory; a test takes it from `nothingLeft()`. */
  readonly folder?: string;
  /** Added to the plain environment, after the command's own additions; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Seconds after which the command and all its descendants are killed; 280 by default. */
  readonly deadline?: number;
  /** What it reads on stdin; nothing by default. */
  readonly input?: string;
}

/** How a command ended: exit code or signal, what it wrote, and how long it ran in seconds. */
export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
  readonly timedOut: boolean;
}

/** A command that runs: look at what it says, signal it, wait for its end. */
export interface Running {
  readonly pid: number;
  readonly finished: Promise<Finished>;
  stdout(): string;
  stderr(): string;
  /** Seconds since it was started. */
  seconds(): number;
  /** Resolves with the match when stdout or stderr says so; throws when it ends or `seconds` pass before. */
  says(pattern: RegExp, seconds?: number): Promise<RegExpExecArray>;
  /** Signals the command itself, as `kill` does. */
  signal(name: NodeJS.Signals): void;
  /** Signals its whole process group, as Ctrl-C in a terminal does. */
  signalGroup(name: NodeJS.Signals): void;
  /** Kills it with all its descendants when it still runs. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a command in a process group of its own. */
export function start({ file, args, env }: Command, options: RunOptions = {}): Running {
  const began = performance.now();
  const child = spawn(file, [...args], {
    ...(options.folder === undefined ? {} : { cwd: options.folder }),
    env: { ...plainEnvironment(), ...env, ...options.env },
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    detached: true,
  });
  const written = { stdout: "", stderr: "" };
  const listening = new Set<() => void>();
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      written[name] += text;
      for (const look of listening) look();
    });
  }
  if (options.input !== undefined) child.stdin?.end(options.input);

  const pid = child.pid ?? 0;
  let timedOut = false;
  const deadline = setTimeout(
    () => {
      timedOut = true;
      killTree(pid);
    },
    (options.deadline ?? 280) * 1000,
  );

  const exited = new Promise<Omit<Finished, "stdout" | "stderr">>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) =>
      resolve({ code, signal, seconds: (performance.now() - began) / 1000, timedOut }),
    );
  });
  // A descendant that outlives the command holds its pipes open: that must not hold us.
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const finished = exited
    .then(async (how) => {
      await Promise.race([closed, sleep(500)]);
      // Whoever was kept from running for so long reads first what is there.
      await nextTurn();
      child.stdout?.destroy();
      child.stderr?.destroy();
      return { ...how, ...written };
    })
    .finally(() => clearTimeout(deadline));
  finished.catch(() => undefined); // Reported to whoever awaits it.

  return {
    pid,
    finished,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    seconds: () => (performance.now() - began) / 1000,
    async says(pattern, seconds = 150) {
      const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
      const look = (): void => {
        const match = pattern.exec(written.stdout) ?? pattern.exec(written.stderr);
        if (match !== null) resolve(match);
      };
      const give = (why: string): void => reject(new Error(`${why} without saying ${pattern}:\n${tell(written)}`));
      const timer = setTimeout(() => give(`${seconds} s passed`), seconds * 1000);
      finished.then(
        ({ code, signal }) => give(`it ended (${code ?? signal})`),
        (error: unknown) => reject(error),
      );
      listening.add(look);
      look();
      return promise.finally(() => {
        clearTimeout(timer);
        listening.delete(look);
      });
    },
    signal: (name) => void child.kill(name),
    signalGroup: (name) => void process.kill(-pid, name),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      killTree(pid);
      await finished;
    },
  };
}

/** Runs a command to its end. */
export async function run(command: Command, options: RunOptions = {}): Promise<Finished> {
  await using running = start(command, options);
  return await running.finished;
}

/** Runs a command that must succeed, and returns its stdout; throws with all it said when it does not. */
export async function output(command: Command, options: RunOptions = {}): Promise<string> {
  const finished = await run(command, options);
  if (finished.code !== 0) {
    const how = finished.timedOut ? "took too long" : `ended with ${finished.code ?? finished.signal}`;
    throw new Error(`${[command.file, ...command.args].join(" ")} ${how}:\n${tell(finished)}`);
  }
  return finished.stdout;
}

/** What a command wrote, for the message of a failed test. */
export function tell({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): string {
  return `--- stdout\n${stdout}\n--- stderr\n${stderr}`;
}
