import { lstatSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Failure } from "../errors/failure.ts";
import { unwritable } from "../security/file-problems.ts";
import { privateFolder } from "../security/private-files.ts";
import { shortName } from "../launcher/host-paths.ts";
import { machine, startTime } from "../launcher/process-mark.ts";

/** Where a launch keeps what it writes: beside `scheduler.json`, found by every host from the launch's key alone. */
export function clusterFolder(schedulerFile: string, key: string): string {
  return join(dirname(schedulerFile), `.tsdask-${shortName(key)}`);
}

interface Owner {
  readonly host: string;
  readonly pid: number;
  readonly startTime: string;
  /** Where its pid means this process: the boot of the machine, and the space of pids (a container may have its own). */
  readonly machine: string;
}

/** A folder without an owner that was changed less than so long ago (ms) may still get one. */
const settledAfter = 3_600_000;
const folderName = /^\.tsdask-[0-9a-f]{16}$/;

/**
 * Takes the launch's folder: private, and empty. What a launch of the same key left that is no more (a requeued job, a
 * reused id) is removed, after `endJobs` has ended the worker jobs that it lists. Throws TSD-035 when that launch is alive, TSD-071 and TSD-072 when the folder cannot be had.
 */
export async function takeClusterFolder(
  path: string,
  host: string,
  endJobs: (folder: string) => Promise<unknown>,
): Promise<void> {
  privateFolder(path, { groupParent: true });
  // Without `.json`, which Dask would read as settings of its own.
  const file = join(path, "owner");
  const owner = readOwner(file);
  if (
    owner !== undefined &&
    owner.host === host &&
    owner.pid !== process.pid &&
    startTime(owner.pid) === owner.startTime
  ) {
    throw new Failure("TSD-035", { folder: path, host, pid: owner.pid });
  }
  if (owner !== undefined) {
    await endJobs(path);
    rmSync(path, { recursive: true, force: true });
    privateFolder(path, { groupParent: true });
  }
  // At once and in one piece: whoever is killed between the folder and its owner leaves a folder that nobody can tell is dead.
  const own: Owner = { host, pid: process.pid, startTime: startTime(process.pid), machine: machine() };
  try {
    writeFileSync(file, JSON.stringify(own), { mode: 0o600 });
  } catch (error) {
    // Nobody would know whose it was: a full disk takes the folder's name, but not its owner's.
    rmSync(path, { recursive: true, force: true });
    throw unwritable(file, error);
  }
}

/** Removes the launch's folder with all that is in it. */
export async function removeClusterFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
}

/**
 * The folders of dead launches beside the launch's own: those whose owner was a process of this machine that is no more, and
 * the one that the scheduler.json which was replaced (`replaced`, its text) named. Their launches were killed with all their
 * processes at once, so that nobody was left to remove them. Never throws.
 */
export function deadClusterFolders(
  own: string,
  replaced: string | undefined,
  now: number = Date.now(),
): readonly string[] {
  const here = machine();
  const named = replaced === undefined ? undefined : folderNamedIn(replaced);
  return siblings(own).filter((path) => {
    const owner = readOwner(join(path, "owner"));
    // Whatever a file says: the folder of a launch that lives here is no dead one's, and one from elsewhere must name the same scheduler itself.
    if (owner !== undefined && owner.machine === here && startTime(owner.pid) === owner.startTime) return false;
    if (path === named?.folder && namesAddress(path, named.address)) return true;
    if (owner === undefined) return (lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? now) < now - settledAfter;
    return here !== "" && owner.machine === here && startTime(owner.pid) !== owner.startTime;
  });
}

/** Folders like ours, of this user, in the same place. */
function siblings(own: string): string[] {
  const parent = dirname(own);
  try {
    const names = readdirSync(parent).filter((name) => folderName.test(name) && name !== basename(own));
    return names
      .map((name) => join(parent, name))
      .filter((path) => lstatSync(path).isDirectory() && lstatSync(path).uid === process.geteuid?.());
  } catch {
    // It may not be listed, or another launch has just removed its own.
    return [];
  }
}

function folderNamedIn(text: string): { readonly folder: string; readonly address: string } | undefined {
  try {
    const { address, tsdask } = JSON.parse(text) as {
      readonly address?: unknown;
      readonly tsdask?: { readonly folder?: unknown };
    };
    return typeof tsdask?.folder === "string" && typeof address === "string"
      ? { folder: tsdask.folder, address }
      : undefined;
  } catch {
    // No file of ours.
    return undefined;
  }
}

/** Whether the settings that a launch wrote into its folder name this scheduler, which was asked and does not answer any more. */
function namesAddress(folder: string, address: string): boolean {
  try {
    return address !== "" && readFileSync(join(folder, "dask.yaml"), "utf8").includes(address);
  } catch {
    // A launch that never had a scheduler.
    return false;
  }
}

function readOwner(file: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Owner;
  } catch {
    // No file, or half a file of a launch that was killed in its first moments.
    return undefined;
  }
}
