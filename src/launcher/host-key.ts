import { readFileSync } from "node:fs";
import type { World } from "./world.ts";
import { starters } from "./known.ts";
import { procStat, type ProcStat } from "./proc-stat.ts";

/**
 * A name for this launch that is the same for all its ranks on this host, and different for any other launch there.
 * Where the launcher gives no launch id (MPICH's Hydra), the process that started the ranks names it: its pid and start
 * time, from /proc/<pid>/stat (proc(5)), past any wrapper script between it and us. Reads one small file then, none
 * otherwise; never throws.
 */
export function hostLaunchKey(world: World, options: { readonly parent: number; readonly proc?: string }): string {
  if (world.launchId !== undefined) return `${world.launcher}:${world.launchId}`;
  const starter = findStarter(options.parent, options.proc ?? "/proc");
  if (starter !== undefined) return `${world.launcher}:${starter.pid}.${starter.start}`;
  return `${world.launcher}:${options.parent}`;
}

/**
 * The pid of the launcher's process on this host, at or above `parent`; undefined when there is none of a known name.
 */
export function starterOf(parent: number, proc: string): number | undefined {
  return findStarter(parent, proc)?.pid;
}

/**
 * The launcher's process on this host, at or above `parent`, with its start time in clock ticks (proc(5)); undefined
 * when there is none of a known name.
 */
export function findStarter(
  parent: number,
  proc: string,
): { readonly pid: number; readonly start: string } | undefined {
  for (const [pid, { command, start }] of upwards(parent, proc)) if (starters.test(command)) return { pid, start };
  return undefined;
}

/**
 * Whether a process at or above `parent` was started with several parts, `mpirun -np 4 … : -np 8 …`, as far as this
 * host shows its words; not so those of a file (`srun --multi-prog`, `mpirun --app`).
 */
export function startsParts(parent: number, proc: string): boolean {
  for (const [pid] of upwards(parent, proc)) if (wordsOf(pid, proc).includes(":")) return true;
  return false;
}

/** A process and those above it, with what they are: eight at most, as far as this host shows them. */
function* upwards(from: number, proc: string): Generator<readonly [pid: number, stat: ProcStat]> {
  let pid = from;
  for (let up = 0; up < 8 && pid > 1; up++) {
    const stat = procStat(pid, proc);
    if (stat === undefined) return;
    yield [pid, stat];
    pid = stat.parent;
  }
}

function wordsOf(pid: number, proc: string): readonly string[] {
  try {
    return readFileSync(`${proc}/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    // It has ended, or the system does not show it.
    return [];
  }
}
