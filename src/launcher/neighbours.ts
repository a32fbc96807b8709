import { identify, type World } from "./world.ts";
import { starterOf } from "./host-key.ts";
import { childrenOf, procStat, startedWith } from "./proc-stat.ts";

/** How the ids of the built-in launcher's launches begin (`TSDASK_LAUNCH_ID`). */
export const builtInPrefix = "local-";

/**
 * The ranks of this launch whose processes live on this host, this one included: children of the launcher's process
 * there that carry a rank's variables (proc(5), `task/…/children` and `environ`). Undefined where that cannot be told:
 * no such launcher process is found, or it has a child that is not a rank's program yet. Never throws.
 */
export function livingNeighbours(
  own: World,
  { parent, proc = "/proc" }: { readonly parent: number; readonly proc?: string },
): readonly World[] | undefined {
  // Ranks that somebody starts by hand come in any order, each when it suits: nothing is to be told from who is there.
  if (own.launcher === "tsdask" && own.launchId?.startsWith(builtInPrefix) !== true) return undefined;
  const starter = own.launcher === "tsdask" ? parent : starterOf(parent, proc);
  if (starter === undefined) return undefined;
  const children = childrenOf(starter, proc);
  const name = commandOf(starter, proc);
  const worlds: World[] = [];
  for (const pid of children ?? []) {
    const entries = startedWith(pid, proc);
    if (entries === "ended") continue;
    if (typeof entries === "string" || (commandOf(pid, proc) === name && own.launcher !== "tsdask")) return undefined;
    const world = worldOf(entries);
    if (world !== undefined && world.launcher === own.launcher && world.size === own.size) worlds.push(world);
  }
  // Whoever does not find itself does not see how the launcher starts its ranks.
  return worlds.some(({ rank }) => rank === own.rank) ? worlds : undefined;
}

/** The numbers of those ranks, this one's included; undefined where they cannot be told. */
export function livingRanks(
  own: World,
  options: { readonly parent: number; readonly proc?: string },
): ReadonlySet<number> | undefined {
  const worlds = livingNeighbours(own, options);
  return worlds === undefined ? undefined : new Set(worlds.map(({ rank }) => rank));
}

function worldOf(entries: readonly string[]): World | undefined {
  const pairs = entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]);
  try {
    return identify(Object.fromEntries(pairs) as NodeJS.ProcessEnv);
  } catch {
    // Variables that contradict each other: it says so itself.
    return undefined;
  }
}

/** Its program's name; empty when it has just ended. */
const commandOf = (pid: number, proc: string): string => procStat(pid, proc)?.command ?? "";
