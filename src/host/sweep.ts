import { existsSync, lstatSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { deadlines } from "../deadlines.ts";
import type { HostPaths } from "../launcher/host-paths.ts";
import { procStat } from "../launcher/proc-stat.ts";
import { listens } from "../net/connection-check.ts";
import { fileSystem } from "../net/file-systems.ts";
import { isOwnMark, removeOwnEmpty } from "./election.ts";

/** A folder that was changed less than so long ago (ms) may belong to a launch that is just starting. */
const settledAfter = 10_000;
/** No shell of any host looks for its agent as long as this (ms). */
const shellsGaveUp = 300_000;

/**
 * Removes what launches of this user left on this host when they were killed with all their processes at once, as
 * `srun` and batch systems do: folders with this host's mark in which nobody listens any more. Never throws: whatever
 * cannot be removed stays.
 */
export async function sweepHostFolders({ base, folder }: HostPaths, now: number = Date.now()): Promise<void> {
  const found = names(base);
  await Promise.all(found.map(async (name) => sweepFolder(join(base, name), name, folder, now)));
  for (const name of found) if (name.startsWith("post-")) sweepPost(join(base, name), now);
}

async function sweepFolder(path: string, name: string, own: string, now: number): Promise<void> {
  if (path === own || !/^[0-9a-f]{16}$/.test(name) || changed(path) > now - settledAfter) return;
  const files = names(path);
  const marks = files.filter((file) => file.startsWith("on."));
  if (!marks.some(isOwnMark) && !(marks.length === 0 && isOfOneHost(path))) {
    removeOwnEmpty(path);
    return;
  }
  const sockets = files.filter((file) => file.includes(".sock"));
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
  const here = path.endsWith(`.${hostname()}`);
  const over =
    here && pid !== undefined
      ? procStat(Number(pid))?.start !== start
      : changed(path) < now - (here ? settledAfter : shellsGaveUp);
  if (over) remove(path);
}

/** Whether a folder lies on a file system that no other host sees; false where that is not known. */
function isOfOneHost(path: string): boolean {
  try {
    return fileSystem(statfsSync(path).type)?.hosts === "one";
  } catch {
    return false;
  }
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
