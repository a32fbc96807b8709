import { readFileSync } from "node:fs";

import type { World } from "./world.ts";

/** The processes by which launchers start ranks on a host: one per launch and host. */
const starters = /^(hydra_|pmi_proxy|mpiexec|mpirun|mpispawn|orted|orterun|prte|slurmstepd|flux-shell|palsd|apinit|jsmd|psid)/;

/**
 * A name for this launch that is the same for all its ranks on this host, and different for any other launch there. Where the launcher
 * gives no launch id (MPICH's Hydra), the process that started the ranks names it: its pid and start time, from /proc/<pid>/stat (proc(5)),
 * past any wrapper script between it and us. Reads one small file then, none otherwise; never throws.
 */
export function hostLaunchKey(
  world: World,
  options: { readonly parent: number; readonly proc?: string },
): string {
  if (world.launchId !== undefined) return `${world.launcher}:${world.launchId}`;
  let pid = options.parent;
  for (let up = 0; up < 8 && pid > 1; up++) {
    const stat = readStat(`${options.proc ?? "/proc"}/${pid}/stat`);
    if (stat === undefined) break;
    if (starters.test(stat.command)) return `${world.launcher}:${pid}.${stat.start}`;
    pid = stat.parent;
  }
  return `${world.launcher}:${options.parent}`;
}

function readStat(path: string): { command: string; parent: number; start: string } | undefined {
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch {
    return undefined; // it ended, or /proc is hidden: the caller falls back on the parent's pid
  }
  const close = text.lastIndexOf(")");
  const fields = text.slice(close + 2).split(" ");
  const [parent, start] = [fields[1], fields[19]];
  if (close < 0 || parent === undefined || start === undefined) return undefined;
  return { command: text.slice(text.indexOf("(") + 1, close), parent: Number(parent), start };
}
