import { deadlines } from "../deadlines.ts";
import type { Hello } from "../protocol/messages.ts";
import { childEnvironment } from "../launcher/strip.ts";
import type { World } from "../launcher/world.ts";
import { secondSignalAfter, signalNumber } from "../rank/child.ts";
import { helloOf } from "../rank/follower.ts";
import { runRankAgent, type Member } from "../rank/rank-agent.ts";
import type { Out } from "../ui/out.ts";
import type { HostPaths } from "../launcher/host-paths.ts";
import { forkQueue } from "./fork-queue.ts";
import type { ForkServer } from "./fork-server.ts";
import type { Leader } from "./leader.ts";
import { dismissShells, openShellRanks, type ShellRank, type ShellRanks } from "./shell-ranks.ts";

export interface ShellAgents {
  /** The shells leave; resolves when they are gone. `absent`: how many ranks of this host have not come yet. */
  readonly release: (absent: () => number) => Promise<void>;
  /** Kills what was started for them at once. */
  readonly killNow: () => void;
}

interface Played {
  readonly rank: number;
  readonly member: Member;
  signalled?: number;
}

/**
 * Plays the part of those ranks of this host that stay shells: each has its place with the leader as if it were a Node, what it would have
 * started is started here, in its environment and folder and with its cores and limits, and its output goes out here under its name.
 */
export function playShells({
  world,
  paths,
  post,
  out,
  forkServer,
  leader,
  needsNode,
  prompt,
}: {
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
}): ShellAgents {
  const played = new Map<number, Played>();
  const start = forkQueue();
  let shells: ShellRanks | undefined;
  let over = false;
  /** Shells that came when the launch had ended already. */
  let late = 0;

  const take = (shell: ShellRank): void => {
    const { pid, env, cwd } = shell;
    if (over) {
      late += 1;
      shells?.dismiss(pid, 0);
      return;
    }
    const { rank, size, launcher } = shell.world;
    if (size !== world.size || launcher !== world.launcher || needsNode(rank)) {
      shells?.toNode(pid);
      return;
    }
    const hello: Hello = { ...helloOf(shell.world, shell.argv, env, cwd), pid };
    const up = leader.join(hello);
    const toNode = (): void => {
      played.delete(pid);
      leader.handOver(rank);
      shells?.toNode(pid);
    };
    const member = runRankAgent({
      rank,
      up,
      childEnv: () => childEnvironment(env),
      cwd,
      out,
      joinPmi: () => undefined,
      idle: () => undefined,
      exit: up.close,
      shell: { pid, start, toNode },
    });
    played.set(pid, { rank, member });
    forkServer.watchRank(pid);
  };

  const signalled = (pid: number, signal: string): void => {
    const one = played.get(pid);
    if (one === undefined) return;
    const now = performance.now();
    // Ctrl-C is the script's own while somebody talks with it: the hub knows when.
    if (prompt && signal === "SIGINT") {
      one.member.signal(signal);
      return;
    }
    if (one.signalled === undefined) {
      one.signalled = now;
      one.member.signal(signal as NodeJS.Signals);
    } else if (now - one.signalled > secondSignalAfter) {
      one.member.killNow();
      shells?.dismiss(pid, 128 + signalNumber(signal));
    }
  };

  forkServer.onRankGone((pid) => {
    const one = played.get(pid);
    if (one === undefined || over) return;
    played.delete(pid);
    one.member.killNow();
    leader.gone(one.rank);
  });
  const opened = forkServer.listening.then(() => {
    shells = openShellRanks({ paths, post, onRank: take, onSignal: signalled });
  });
  // A server that never listened has made no pipes: its failure is told elsewhere, and ends the launch.
  opened.catch(() => undefined);

  return {
    release: async (absent) => {
      over = true;
      await opened.catch(() => undefined);
      shells ??= absent() > 0 ? await sendAwayAsTheyCome(paths, post, () => late++) : undefined;
      // Those that come after the end would look for their agent for a while.
      const until = performance.now() + deadlines.badUsage;
      while (absent() - late > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
      await shells?.release(0);
    },
    killNow: () => {
      for (const { member } of played.values()) member.killNow();
    },
  };
}

/** Without a fork server nobody has made the pipes; undefined when they cannot be made, which the shells' own deadline is for. */
async function sendAwayAsTheyCome(paths: HostPaths, post: string, onGone: () => void): Promise<ShellRanks | undefined> {
  return dismissShells({ paths, post, code: Promise.resolve(0), onGone }).catch(() => undefined);
}
