import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { lineChannel } from "../protocol/channel.ts";
import { controlVersion, type FromRank, type Hello, type ToRank } from "../protocol/messages.ts";
import { deadlines } from "../deadlines.ts";
import type { HostPaths } from "../launcher/host-paths.ts";
import { childEnvironment } from "../launcher/strip.ts";
import type { World } from "../launcher/world.ts";
import { pauseFor } from "../timers.ts";
import type { Out } from "../ui/out.ts";
import { runRankAgent, type RankAgent } from "./rank-agent.ts";

/** A leader that has just been started may take this long (ms) to listen; it is looked for this often. */
const lookEvery = 4;
/** From when on (ms), and how often, a rank that finds no leader looks whether there still is one to wait for. */
const leaderCheckEvery = 1_500;

/** Why there can be no leader to meet: the place where this host's ranks meet is somebody else's. */
export interface ForeignPlace {
  readonly path: string;
  readonly problem: string;
}

/**
 * Connects to the host's leader, trying until it listens. Resolves to undefined when it does not within
 * `patience` (ms; asked for only after `deadlines.hostLeader`), or when `leaderLives` says twice that nobody is there
 * who could. A folder of somebody else is never entered: one where the user's folders of this host should be ends the
 * search at once.
 */
export async function meetLeader(
  paths: HostPaths,
  uid: number,
  leaderLives: () => Promise<boolean>,
  patience: () => Promise<number> = async () => deadlines.hostLeader,
): Promise<Socket | ForeignPlace | undefined> {
  const began = performance.now();
  let checks = 0;
  let missed = 0;
  let limit: number = deadlines.hostLeader;
  let asked = false;
  for (let wait = lookEvery; ; wait = Math.min(wait * 1.2, 100)) {
    if (performance.now() > began + limit) {
      if (!asked) limit = await patience();
      asked = true;
      if (performance.now() > began + limit) return undefined;
    }
    const socket = await attempt(paths, uid);
    if (socket !== undefined) return socket;
    if (performance.now() > began + (checks + 1) * leaderCheckEvery) {
      checks += 1;
      missed = (await leaderLives()) ? 0 : missed + 1;
      if (missed === 2) return undefined;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/**
 * One try. The socket is reached through the open descriptors of two folders that are seen to be ours and closed to
 * everyone else, so that what stands at their names before, meanwhile or afterwards does not matter: nobody else can
 * have put a socket there.
 */
async function attempt({ base, folder }: HostPaths, uid: number): Promise<Socket | ForeignPlace | undefined> {
  const place = openOwn(base, uid);
  if (typeof place !== "number") return place;
  try {
    const inner = openOwn(`/proc/self/fd/${place}${folder.slice(base.length)}`, uid);
    if (typeof inner !== "number") return undefined;
    try {
      return await connected(`/proc/self/fd/${inner}/host.sock`);
    } finally {
      closeSync(inner);
    }
  } finally {
    closeSync(place);
  }
}

/**
 * The descriptor of a folder that is ours alone; what is wrong with it otherwise, and undefined while there is none.
 */
function openOwn(path: string, uid: number): number | ForeignPlace | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOTDIR" || code === "ELOOP") return { path, problem: "it is a symbolic link, or no folder" };
    if (code === "EACCES") return { path, problem: "it belongs to another user" };
    return undefined;
  }
  const found = fstatSync(fd);
  if (found.uid === uid && (found.mode & 0o077) === 0) return fd;
  closeSync(fd);
  // A folder of ours that is still open to others is one that its leader is about to close.
  return found.uid === uid ? undefined : { path, problem: `it belongs to another user (uid ${found.uid})` };
}

function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", () => resolve(undefined));
  });
}

/** What this rank says of itself to its leader. */
export function helloOf(world: World, argv: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Hello {
  const own: Record<string, string> = {};
  for (const name in env) if (name.startsWith("TSDASK_")) own[name] = env[name] ?? "";
  return { t: "hello", v: controlVersion, rank: world.rank, size: world.size, pid: process.pid, argv, cwd, env: own };
}

/** A rank that only does what its leader says: all but one of a host's ranks, so it loads next to nothing. */
export function runFollower({
  world,
  socket,
  argv,
  env,
  cwd,
  out,
  leaderLost,
  exit,
}: {
  readonly world: World;
  readonly socket: Socket;
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly out: Out;
  readonly leaderLost: () => Promise<void>;
  readonly exit: (code: number) => void;
}): RankAgent {
  const up = lineChannel<FromRank, ToRank>(socket, accept);
  up.send(helloOf(world, argv, env, cwd));
  let exchange = Promise.resolve();
  const joinPmi = (): void => {
    exchange = import("../rendezvous/exchange.ts")
      .then(({ passThrough }) => passThrough(world, Infinity))
      .catch((error: unknown) => {
        // The leaders meet, or report why not; a rank without a leader to say it to has nothing to add.
        up.send({
          t: "event",
          event: { k: "note", level: "warn", text: `the launcher's key-value exchange failed: ${String(error)}` },
        });
      });
  };
  return runRankAgent({
    rank: world.rank,
    up,
    childEnv: () => childEnvironment(env),
    cwd,
    out,
    joinPmi,
    idle: () => undefined,
    leaderLost,
    // Hydra ends a launch of which a process leaves while others have yet to come to the exchange.
    exit: (code) => {
      if (code !== 0) exit(code);
      else void Promise.race([exchange, pauseFor(deadlines.lastExchange)]).then(() => exit(0));
    },
  });
}

/** The leader is this user's own process, found in a private folder: its messages need no more than a form. */
const accept = (value: unknown): ToRank | undefined =>
  typeof value === "object" && value !== null && typeof (value as { t?: unknown }).t === "string"
    ? (value as ToRank)
    : undefined;
