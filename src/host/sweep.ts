import { existsSync, lstatSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { HostPaths } from "../launcher/host-paths.ts";
import { listens } from "../net/reach.ts";

/** A folder that was changed less than so long ago (ms) may belong to a launch that is just starting. */
const settledAfter = 10_000;

/**
 * Removes what launches of this user left on this host when they were killed with all their processes at once, as `srun` and
 * batch systems do: folders in which nobody listens any more. Never throws: whatever cannot be removed stays.
 */
export async function sweepHostFolders({ base, folder }: HostPaths, now: number = Date.now()): Promise<void> {
  const found = names(base);
  await Promise.all(found.map(async (name) => sweepFolder(join(base, name), name, folder, now)));
  for (const name of found) if (name.startsWith("post-")) sweepLink(join(base, name));
}

async function sweepFolder(path: string, name: string, own: string, now: number): Promise<void> {
  if (path === own || !/^[0-9a-f]{16}$/.test(name) || changed(path) > now - settledAfter) return;
  const sockets = names(path).filter((file) => file.includes(".sock"));
  const alive = await Promise.all(sockets.map((file) => listens(join(path, file))));
  if (!alive.includes(true)) remove(path);
}

/** A link that led a dead launch's shells to its folder. */
function sweepLink(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() && !existsSync(path)) remove(path);
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
