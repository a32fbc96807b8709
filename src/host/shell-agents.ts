import { deadlines } from "../deadlines.ts";
import { pauseFor } from "../timers.ts";
import type { Hello } from "../protocol/messages.ts";
import { childEnvironment } from "../launcher/strip.ts";
import type { World } from "../launcher/world.ts";
import { isSecondSignal, signalNumber } from "../launcher/signals.ts";
import { helloOf } from "../rank/follower.ts";
import { runRankAgent, type RankAgent } from "../rank/rank-agent.ts";
import type { Out } from "../ui/out.ts";
import type { HostPaths } from "../launcher/host-paths.ts";
import { forkQueue } from "./fork-queue.ts";
import type { ForkServer } from "./fork-server.ts";
import type { Leader } from "./leader.ts";
import { dismissShells, openShellRanks, type ShellRank, type ShellRanks } from "./shell-ranks.ts";

export interface ShellAgents {
  /** The launch ends: should this agent be killed from now on, the shells leave with 0 all the same. */
  readonly announceEnd: () => void;
  /** The shells leave; resolves when they are gone. `absent`: how many ranks of this host have not come yet. */
  readonly release: (absent: () => number) => Promise<void>;
  /** Kills what was started for them at once. */
  readonly killNow: () => void;
}

interface Played {
  readonly rank: number;
  readonly rankAgent: RankAgent;
  signalled?: number;
}

/**
 * Plays the part of those ranks of this host that stay shells: each has its place with the leader as if it were a Node,
 * what it would have started is started here, in its environment and folder and with its cores and limits, and its
 * output goes out here under its name.
 */
export function playShells(context: ShellAgentsContext): ShellAgents {
  const player = new ShellPlayer(context);
  return {
    announceEnd: () => player.announceEnd(),
    release: (absent) => player.release(absent),
    killNow: () => player.killNow(),
  };
}

interface ShellAgentsContext {
  readonly world: World;
  readonly paths: HostPaths;
  readonly post: string;
  readonly out: Out;
  readonly forkServer: ForkServer;
  readonly leader: Leader;
  /** Whether a rank has a part that needs a process of its own. */
  readonly needsNode: (rank: number) => boolean;
  /** Somebody may talk with the script on a terminal. */
  readonly prompt: boolean;
}

class ShellPlayer {
  readonly #context: ShellAgentsContext;
  readonly #played = new Map<number, Played>();
  readonly #start = forkQueue();
  readonly #opened: Promise<void>;
  #shells: ShellRanks | undefined;
  #over = false;
  /** Shells that came when the launch had ended already. */
  #late = 0;

  constructor(context: ShellAgentsContext) {
    this.#context = context;
    const { forkServer, paths, post } = context;
    forkServer.onRankGone((pid) => this.#gone(pid));
    this.#opened = forkServer.listening.then(() => {
      this.#shells = openShellRanks({
        paths,
        post,
        onRank: (shell) => this.#take(shell),
        onSignal: (pid, signal) => this.#signalled(pid, signal),
      });
    });
    // A server that never listened has made no pipes: its failure is told elsewhere, and ends the launch.
    this.#opened.catch(() => undefined);
  }

  announceEnd(): void {
    this.#shells?.announce(0);
  }

  async release(absent: () => number): Promise<void> {
    const { paths, post } = this.#context;
    this.#over = true;
    // A Python that hangs before it listens, on a mount that stalls, has made no pipes either.
    await Promise.race([this.#opened.catch(() => undefined), pauseFor(deadlines.forkServerEnd)]);
    this.#shells ??=
      absent() > 0
        ? await sendAwayAsTheyCome(
            paths,
            post,
            () => absent() > this.#late,
            () => this.#late++,
          )
        : undefined;
    await allCome(() => absent() <= this.#late);
    await this.#shells?.release(0);
  }

  killNow(): void {
    for (const { rankAgent } of this.#played.values()) rankAgent.killNow();
  }

  #take(shell: ShellRank): void {
    const { world, leader, out, forkServer, needsNode } = this.#context;
    const { pid, env, cwd } = shell;
    if (this.#over) {
      this.#late += 1;
      this.#shells?.dismiss(pid, 0);
      return;
    }
    const { rank, size, launcher } = shell.world;
    if (size !== world.size || launcher !== world.launcher || needsNode(rank)) {
      this.#shells?.toNode(pid);
      return;
    }
    const hello: Hello = { ...helloOf(shell.world, shell.argv, env, cwd), pid };
    const up = leader.join(hello);
    const toNode = (): void => {
      this.#played.delete(pid);
      leader.handOver(rank);
      this.#shells?.toNode(pid);
    };
    const rankAgent = runRankAgent({
      rank,
      up,
      childEnv: () => childEnvironment(env),
      cwd,
      out,
      joinPmi: () => undefined,
      idle: () => undefined,
      exit: up.close,
      shell: { pid, start: this.#start, toNode },
    });
    this.#played.set(pid, { rank, rankAgent });
    forkServer.watchRank(pid);
  }

  #signalled(pid: number, signal: string): void {
    const one = this.#played.get(pid);
    if (one === undefined) return;
    const now = performance.now();
    // Ctrl-C is the script's own while somebody talks with it: the hub knows when.
    if (this.#context.prompt && signal === "SIGINT") {
      one.rankAgent.signal(signal);
      return;
    }
    if (one.signalled === undefined) {
      one.signalled = now;
      one.rankAgent.signal(signal as NodeJS.Signals);
    } else if (isSecondSignal(signal, now - one.signalled)) {
      one.rankAgent.killNow();
      this.#shells?.dismiss(pid, 128 + signalNumber(signal));
    }
  }

  #gone(pid: number): void {
    const one = this.#played.get(pid);
    if (one === undefined || this.#over) return;
    this.#played.delete(pid);
    one.rankAgent.killNow();
    this.#context.leader.gone(one.rank);
  }
}

/**
 * Resolves when all shells have come, or soon: those that come after the end would look for their agent for a while.
 */
async function allCome(here: () => boolean): Promise<void> {
  const until = performance.now() + deadlines.lateShells;
  while (!here() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
}

/**
 * Without a fork server nobody has made the pipes; undefined when they cannot be made, which the shells' own deadline
 * is for.
 */
async function sendAwayAsTheyCome(
  paths: HostPaths,
  post: string,
  awaited: () => boolean,
  onGone: () => void,
): Promise<ShellRanks | undefined> {
  return dismissShells({ paths, post, code: Promise.resolve(0), awaited, onGone }).catch(() => undefined);
}
