import {
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { Socket } from "node:net";
import { basename } from "node:path";
import { deadlines } from "../deadlines.ts";
import { findStarter } from "../launcher/host-key.ts";
import { catches, procStat } from "../launcher/proc-stat.ts";
import { identify, type World } from "../launcher/world.ts";
import { killPid } from "../rank/child.ts";
import type { HostPaths } from "../launcher/host-paths.ts";
import { makePipes } from "../security/pipes.ts";
import { privateFolder } from "../security/private-files.ts";
import { removeOwnEmpty } from "./election.ts";

/**
 * The agent's end of the ranks that stay the shell of `bin/tsdask-mpi`, which is the other end. Two named pipes in the
 * host's folder join them: `ranks`, into which a shell writes lines of less than PIPE_BUF bytes (pipe(7): they do not
 * mix), `h <pid> <number of its arguments>` when it is there and `s <pid> <signal>` for a signal; and `end`, whose end
 * of file is the end of the launch. The code is then in the name of a file, `ended.<code>`, or, where the folder has
 * become read-only, in the name of the agent's process, whose pid is in that of `agent.<pid>`; that of an agent which
 * is killed while the launch ends is in the name of `last.<code>`. What else is to be known of a rank is in
 * `/proc/<pid>`, since it is a process of the same user. The shells find the folder by a link whose name they can tell
 * without a process.
 */
export interface ShellRanks {
  /** A rank's process may not stay a shell: it becomes a Node, which meets this host's agent as any other. */
  readonly toNode: (pid: number) => void;
  /** One shell leaves with this code now. */
  readonly dismiss: (pid: number, code: number) => void;
  /**
   * The launch ends, and all shells will leave with this code: also when the agent is killed before it can release
   * them.
   */
  readonly announce: (code: number) => void;
  /** All shells leave with this code; resolves when they are gone, after `deadlines.shellsLeave` at the latest. */
  readonly release: (code: number) => Promise<void>;
}

/** A rank that is a shell: who it is, and what it was started with. */
export interface ShellRank {
  readonly pid: number;
  readonly world: World;
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

export interface ShellRanksContext {
  readonly paths: HostPaths;
  /** The link by which the shells find the folder; see `postOf`. */
  readonly post: string;
  readonly onRank: (rank: ShellRank) => void;
  readonly onSignal: (pid: number, signal: string) => void;
}

/** The two pipes of a host's folder. */
export function pipesOf({ folder }: HostPaths): { readonly ranks: string; readonly end: string } {
  return { ranks: `${folder}/ranks`, end: `${folder}/end` };
}

/**
 * The link that leads this launch's shells on this host to their agent: named after the built-in launcher's id of the
 * launch, else after the launcher's process (pid and start time) and the host. Undefined where there is neither: no
 * rank stays a shell then. Never throws.
 */
export function postOf(world: World, { base }: HostPaths, parent: number): string | undefined {
  const starter = findStarter(parent, "/proc");
  const name = world.launcher === "tsdask" ? world.launchId : starter && `${starter.pid}.${starter.start}`;
  return name === undefined || !/^[\w.-]+$/.test(name) ? undefined : `${base}/post-${name}.${hostname()}`;
}

/**
 * Takes the word of this host's shells from now on; the pipes must be there. Throws what the system says when they
 * cannot be opened.
 */
export function openShellRanks({ paths, post, onRank, onSignal }: ShellRanksContext): ShellRanks {
  const pipes = pipesOf(paths);
  /** By their pids, when they began. */
  const seen = new Map<number, string | undefined>();
  const ranks = openSync(pipes.ranks, constants.O_RDWR | constants.O_NONBLOCK);
  // Held open until the end, which its closing is.
  const end = openSync(pipes.end, constants.O_RDWR | constants.O_NONBLOCK);
  const lines = new Socket({ fd: ranks, readable: true, writable: false });
  let rest = "";
  let released: Promise<void> | undefined;

  const take = (line: string): void => {
    const [what, pidText = "", word = ""] = line.split(" ");
    const pid = Number(pidText);
    if (what === "s" && seen.has(pid)) onSignal(pid, word);
    if (what !== "h" || seen.has(pid)) return;
    const rank = readShell(pid, Number(word));
    if (rank === undefined) {
      // What is odd about it, it says as a Node.
      if (pid > 1) wake(pid);
      return;
    }
    seen.set(pid, procStat(pid)?.start);
    onRank(rank);
  };
  lines.on("data", (chunk: Buffer) => {
    const whole = (rest + chunk.toString("latin1")).split("\n");
    rest = whole.pop() ?? "";
    for (const line of whole) take(line);
  });
  lines.on("error", () => lines.destroy());
  lines.unref();
  mark(`${paths.folder}/agent.${process.pid}`);
  // The link appears when everything behind it is there.
  removePost(post);
  linkAgain(paths, post);
  for (const pipe of Object.values(pipes)) attempt(() => linkSync(pipe, secondName(pipe)));
  const again = setInterval(() => {
    for (const pipe of Object.values(pipes)) attempt(() => linkSync(secondName(pipe), pipe));
    linkAgain(paths, post);
  }, lookForLink).unref();

  return {
    toNode: (pid) => {
      seen.delete(pid);
      wake(pid);
    },
    dismiss: (pid, code) => {
      linkAgain(paths, post);
      mark(`${paths.folder}/code.${pid}.${code}`);
      wake(pid);
    },
    announce: (code) => void mark(`${paths.folder}/last.${code}`),
    release: (code) => {
      released ??= (async () => {
        clearInterval(again);
        linkAgain(paths, post);
        if (!mark(`${paths.folder}/ended.${code}`)) process.title = `${endedTitle}${code}`;
        closeSync(end);
        await gone(seen);
        lines.destroy();
        removePost(post);
      })();
      return released;
    },
  };
}

/**
 * For a host whose agent fails before it has begun: every shell that comes leaves with this code once it is known, and
 * `onGone` is called for it; with `asNodes` it becomes a Node, for ranks that have an exchange to take part in. Makes
 * the pipes, which no fork server has made, also in a folder that takes nothing for a moment. Rejects with what the
 * system says when it cannot within `deadlines.shellPipes`, or once nobody is `awaited` any more.
 */
export async function dismissShells({
  paths,
  post,
  code,
  asNodes = false,
  awaited,
  onGone,
}: {
  readonly paths: HostPaths;
  readonly post: string;
  readonly code: Promise<number>;
  readonly asNodes?: boolean;
  readonly awaited: () => boolean;
  readonly onGone: () => void;
}): Promise<ShellRanks> {
  const until = performance.now() + deadlines.shellPipes;
  for (;;) {
    try {
      await pipesIn(paths);
      break;
    } catch (error) {
      if (!awaited() || performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
  const shells = openShellRanks({
    paths,
    post,
    onSignal: () => undefined,
    onRank: ({ pid }) => {
      if (asNodes) shells.toNode(pid);
      else
        void code.then((known) => {
          shells.dismiss(pid, known);
          onGone();
        });
    },
  });
  return shells;
}

/** Makes the pipes; a fork server that was started already makes them, too. */
async function pipesIn(paths: HostPaths): Promise<void> {
  const { ranks, end } = pipesOf(paths);
  await makePipes(ranks, end).catch((error: unknown) => {
    if (!existsSync(ranks) || !existsSync(end)) throw error;
  });
}

/**
 * For a host whose agent is gone before its shells have met it: they leave with this code. Stands where the link to the
 * host's folder would, for longer than a shell waits between two looks. Never rejects: where it cannot be said, the
 * shells wait for their own deadline.
 */
export async function sendShellsAway({ base }: HostPaths, post: string, code: number): Promise<void> {
  const clean = (): void => {
    rmSync(post, { recursive: true, force: true });
    removeOwnEmpty(base);
  };
  try {
    privateFolder(base);
    // The agent may have died with its link made and its folder gone.
    if (!existsSync(post)) removePost(post);
    mkdirSync(post, { mode: 0o700 });
    // Also when this rank is told to leave meanwhile.
    process.once("exit", clean);
    mark(`${post}/ended.${code}`);
    await new Promise((resolve) => setTimeout(resolve, deadlines.shellRanks));
    clean();
    process.off("exit", clean);
  } catch {
    // Another rank of this host says it, or the place is full or not ours, which is told by whoever looks there.
    removeOwnEmpty(base);
  }
}

/**
 * Sends SIGURG to a shell until it has heard it, for `deadlines.shellWakes` at most: one that strikes between the
 * shell's look at its signals and its `read` interrupts nothing (dash: one of 6,000 that came within 150 µs), and the
 * shell would stay. Once it has, it is gone or a Node, which does not catch this signal.
 */
function wake(pid: number): void {
  const start = procStat(pid)?.start;
  const until = performance.now() + deadlines.shellWakes;
  killPid(pid, "SIGURG");
  const again = setInterval(() => {
    if (performance.now() > until || procStat(pid)?.start !== start || !catches(pid, "SIGURG")) clearInterval(again);
    else killPid(pid, "SIGURG");
  }, wakeAgain).unref();
}

/** What a shell was started with (proc(5)), `count` arguments among it; undefined when it is gone, or is no rank. */
function readShell(pid: number, count: number): ShellRank | undefined {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    const env = environment(readFileSync(`/proc/${pid}/environ`, "utf8"));
    const world = identify(env);
    if (world === undefined || !(count >= 0 && count < words.length)) return undefined;
    return { pid, world, argv: words.slice(words.length - count), env, cwd: readlinkSync(`/proc/${pid}/cwd`) };
  } catch {
    // It has ended, or contradicts itself, which it says as a Node.
    return undefined;
  }
}

function environment(text: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const entry of text.split("\0")) {
    const at = entry.indexOf("=");
    if (at > 0) env[entry.slice(0, at)] = entry.slice(at + 1);
  }
  for (const own of ["TSDASK_COMMAND", "TSDASK_NOHUP", "TSDASK_PROMPT", "TSDASK_PARENT_FD"]) delete env[own];
  return env;
}

/**
 * What an agent is called, with the code behind it, that can no longer say it by a file's name: proc(5) has 15
 * characters for that (`comm`).
 */
const endedTitle = "tsdask-end-";

/** Makes an empty file; false where even that cannot be made. */
const mark = (path: string): boolean => attempt(() => writeFileSync(path, "", { mode: 0o600 }));

/**
 * Whether something could be made or removed: it may be there or gone already, the file system read-only by now, or the
 * folder gone.
 */
function attempt(change: () => void): boolean {
  try {
    change();
    return true;
  } catch {
    return false;
  }
}

/** Milliseconds between two signals to a shell that has not heard the first. */
const wakeAgain = 50;

/** Milliseconds between two looks whether the link and the pipes are still there. */
const lookForLink = 1_000;

/**
 * A pipe has two names, so that it can have the one back that somebody has tidied away: Node makes pipes by a process
 * of their own only.
 */
const secondName = (pipe: string): string => `${pipe}.kept`;

/**
 * Shells meet their agent, pass signals on and find their code behind the link, which somebody who tidies up temporary
 * folders may have removed.
 */
function linkAgain({ folder }: HostPaths, post: string): void {
  attempt(() => symlinkSync(basename(folder), post));
}

/** Removes the link to a host's folder; one that cannot be removed is swept by a later launch (`sweep.ts`). */
export function removePost(post: string): void {
  attempt(() => unlinkSync(post));
}

async function gone(pids: ReadonlyMap<number, string | undefined>): Promise<void> {
  const until = performance.now() + deadlines.shellsLeave;
  const left = new Map(pids);
  for (let wait = 1; left.size > 0 && performance.now() < until; wait = Math.min(wait * 2, 20)) {
    for (const [pid, start] of left) if (!runs(pid, start)) left.delete(pid);
    if (left.size > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/**
 * Whether the process that began at `start` runs; one that has ended and is not yet waited for does not (proc(5), the
 * state in stat).
 */
function runs(pid: number, start: string | undefined): boolean {
  const stat = procStat(pid);
  return stat !== undefined && stat.start === start && stat.state !== "Z" && stat.state !== "X";
}
