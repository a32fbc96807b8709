import { existsSync, lstatSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { deadlines } from "../deadlines.ts";
import type { HostPaths } from "../launcher/host-paths.ts";
import { procStat } from "../launcher/proc-stat.ts";
import { listens } from "../net/connection-check.ts";

/** A folder that was changed less than so long ago (ms) may belong to a launch that is just starting. */
const settledAfter = 10_000;

/**
 * Removes what launches of this user left on this host when they were killed with all their processes at once, as
 * `srun` and batch systems do: folders in which nobody listens any more. Never throws: whatever cannot be removed
 * stays.
 */
export async function sweepHostFolders({ base, folder }: HostPaths, now: number = Date.now()): Promise<void> {
  const found = names(base);
  await Promise.all(found.map(async (name) => sweepFolder(join(base, name), name, folder, now)));
  for (const name of found) if (name.startsWith("post-")) sweepPost(join(base, name), now);
}

async function sweepFolder(path: string, name: string, own: string, now: number): Promise<void> {
  if (path === own || !/^[0-9a-f]{16}$/.test(name) || changed(path) > now - settledAfter) return;
  const sockets = names(path).filter((file) => file.includes(".sock"));
  const alive = await Promise.all(sockets.map((file) => listens(join(path, file), deadlines.socketProbe)));
  if (!alive.some((answer) => answer !== "no")) remove(path);
}

/**
 * What led a dead launch's shells to its folder (`shell-ranks.ts`): a link, or a folder that sent them away, whose
 * launcher has ended since.
 */
function sweepPost(path: string, now: number): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSymbolicLink() === true && !existsSync(path)) remove(path);
  if (stat?.isDirectory() !== true) return;
  const [, pid, start] = /post-(\d+)\.(\d+)\./.exec(path) ?? [];
  const over = pid === undefined ? changed(path) < now - settledAfter : procStat(Number(pid))?.start !== start;
  if (over) remove(path);
}

function remove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Somebody else's, or on a file system that fails: it is no business of this launch.
  }
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // It is gone already, or not ours.
    return [];
  }
}

function changed(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
}
