import { closeSync, constants, lstatSync, openSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Failure } from "../errors/failure.ts";
import { lookPrefix } from "../security/cluster-folder.ts";
import { unwritable } from "../security/file-problems.ts";
import { privateFolder } from "../security/private-files.ts";
import { readSmallFile } from "../security/small-file.ts";
import { ownerLives, ownerName, readOwner, type Owner } from "../launcher/folder-owner.ts";
import { shortName } from "../launcher/host-paths.ts";
import { machine, startTime } from "../launcher/process-mark.ts";

/** Where a launch keeps what it writes: beside `scheduler.json`, found by every host from the launch's key alone. */
export function clusterFolder(schedulerFile: string, key: string): string {
  return join(dirname(schedulerFile), `.tsdask-${shortName(key)}`);
}

/** A folder without an owner that was changed less than so long ago (ms) may still get one. */
const settledAfter = 3_600_000;
const folderName = /^\.tsdask-[0-9a-f]{16}$/;

/**
 * Takes the launch's folder: private, and empty. What a launch of the same key left that is no more (a requeued job, a
 * reused id) is removed, after `endJobs` has ended the worker jobs that it lists. A folder with anything else in it is
 * left alone: who may rename in a shared folder could have put one of the user's own there, to have it removed in the
 * end. Throws TSD-035 when that launch is alive, TSD-071 and TSD-072 when the folder cannot be had.
 */
export async function takeClusterFolder(
  path: string,
  host: string,
  endJobs: (folder: string) => Promise<unknown>,
): Promise<void> {
  privateFolder(path, { groupParent: true });
  const owner = readOwner(path);
  if (owner !== undefined) {
    if (await belongsToAnother(path, owner, host))
      throw new Failure("TSD-035", { folder: path, host: owner.host, pid: owner.pid });
    await endJobs(path);
    const left = opened(path, (folder) => (sameOwner(readOwner(folder), owner) ? identity(folder) : ""));
    emptySync(path, left ?? "");
    privateFolder(path, { groupParent: true });
  }
  // At once and in one piece: whoever is killed between the folder and its owner leaves a folder that nobody can tell
  // is dead.
  const own: Owner = { host, pid: process.pid, startTime: startTime(process.pid), machine: machine() };
  const which = opened(path, (folder) => {
    if (holdsMore(folder)) throw new Failure("TSD-071", { path, problem: "something lies there that is no launch's" });
    try {
      writeFileSync(join(folder, ownerName), JSON.stringify(own), { mode: 0o600 });
    } catch (error) {
      // Nobody would know whose it was: a full disk takes the folder's name, but not its owner's.
      rmSync(join(folder, ownerName), { force: true });
      rmdirSync(path);
      throw unwritable(join(path, ownerName), error);
    }
    return identity(folder);
  });
  taken.set(path, which ?? "");
}

/** Whether the launch that has a folder lives: its rank 0 is a process here, or it answers from another host. */
async function belongsToAnother(path: string, owner: Owner, host: string): Promise<boolean> {
  const lives = ownerLives(owner);
  if (lives === true || (owner.host === host && startTime(owner.pid) === owner.startTime))
    return owner.pid !== process.pid;
  return lives === undefined && (await import("./former-launch.ts")).folderIsInUse(path);
}

/** Which folder was taken at a path, as device and inode; empty for none. */
export const takenFolder = (path: string): string => taken.get(path) ?? "";

/** The folders that this process has taken: at a path in a shared folder, another one may stand later. */
const taken = new Map<string, string>();

/** Removes the launch's folder with all that is in it, if it is still the one that was taken. */
export async function removeClusterFolder(path: string): Promise<void> {
  await removeFolder({ path, identity: takenFolder(path) });
  taken.delete(path);
}

/** The same in one go, for a process that may end at any moment. Never throws. */
export function removeClusterFolderSync(path: string): void {
  const wanted = takenFolder(path);
  taken.delete(path);
  // A host that has just read what it needs may still say so in there.
  for (let tries = 0; wanted !== "" && tries < 5; tries += 1) {
    try {
      if (emptySync(path, wanted)) rmdirSync(path);
      return;
    } catch {
      // It is looked into again.
    }
  }
}

/** A folder, and which one it is: its path may lead to another one later. */
export interface FoundFolder {
  readonly path: string;
  readonly identity: string;
}

/** Removes that very folder with all that is in it; another one that stands at its path by now is left alone. */
export async function removeFolder({ path, identity: wanted }: FoundFolder): Promise<void> {
  let folder: number;
  try {
    folder = openSync(path, folderOnly);
  } catch {
    return; // It is gone, or no folder.
  }
  try {
    const here = `/proc/self/fd/${folder}`;
    if (identity(here) !== wanted) return;
    const options = { recursive: true, force: true, maxRetries: 3, retryDelay: 50 };
    await Promise.all(allButOwner(here).map((name) => rm(join(here, name), options)));
    await rm(join(here, ownerName), options);
    // A host that still looks makes a name there for a moment.
    for (let tries = 4; tries > 0 && readdirSync(here).length > 0; tries -= 1) await pause(50);
    // The name alone is left: rmdir takes no folder that holds anything.
    rmdirSync(path);
  } catch {
    // Another process has removed it meanwhile, or what stands there now is not empty.
  } finally {
    closeSync(folder);
  }
}

/** As `removeFolder`, but the folder itself stays. Returns whether it was that very one. */
function emptySync(path: string, wanted: string): boolean {
  const emptied = opened(path, (folder) => {
    if (identity(folder) !== wanted) return false;
    for (const name of [...allButOwner(folder), ownerName])
      rmSync(join(folder, name), { recursive: true, force: true });
    return true;
  });
  return emptied === true;
}

/** What goes before the owner's file: who is killed in the midst of it leaves a folder that still tells whose it is. */
function allButOwner(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => name !== ownerName);
}

const folderOnly = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Looks into a folder through a descriptor, so that all that is seen is of one and the same; undefined when there is
 * none, or it is a link.
 */
function opened<T>(path: string, look: (folder: string) => T): T | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, folderOnly);
  } catch {
    return undefined;
  }
  try {
    return look(`/proc/self/fd/${descriptor}`);
  } finally {
    closeSync(descriptor);
  }
}

/** Which folder this is, as no other one is while it exists. */
function identity(folder: string): string {
  const { dev, ino } = lstatSync(`${folder}/.`);
  return `${dev}:${ino}`;
}

/**
 * The folders of dead launches beside the launch's own: those whose owner was a process of this machine that is no
 * more, and the one that the scheduler.json which was replaced (`replaced`, its text) named: that of a cluster which
 * has ended for certain. Their launches were killed with all their processes at once, so that nobody was left to remove
 * them. Never throws.
 */
export function deadClusterFolders(
  own: string,
  replaced: string | undefined,
  now: number = Date.now(),
): readonly FoundFolder[] {
  const named = replaced === undefined ? undefined : folderNamedIn(replaced);
  return siblings(own).flatMap((path) => {
    const found = opened(path, (folder) => {
      const dead = isPrivate(folder) && isDead(path, folder, { named, now });
      return dead ? [{ path, identity: identity(folder) }] : [];
    });
    return found ?? [];
  });
}

/** Whether anything but an owner is in a folder, and what another host makes there for a moment as it looks. */
const holdsMore = (folder: string): boolean =>
  readdirSync(folder).some((name) => name !== ownerName && !name.startsWith(lookPrefix));

/** A launch's folder is its owner's alone, from its first moment on. */
function isPrivate(folder: string): boolean {
  const { uid, mode } = lstatSync(`${folder}/.`);
  return uid === process.geteuid?.() && (mode & 0o077) === 0;
}

function isDead(
  path: string,
  folder: string,
  { named, now }: { readonly named: ReturnType<typeof folderNamedIn>; readonly now: number },
): boolean {
  const owner = readOwner(folder);
  // One that was left in its first moments is empty, or has half an owner. Anything else without an owner is no
  // launch's, whatever it is called.
  if (owner === undefined) return !holdsMore(folder) && lstatSync(`${folder}/.`).mtimeMs < now - settledAfter;
  // Whatever a file says: the folder of a launch that lives here is no dead one's, and one from elsewhere must name the
  // same scheduler itself.
  const lives = ownerLives(owner);
  return lives === undefined ? path === named?.folder && namesAddress(folder, named.address) : !lives;
}

/** Folders of names like ours, in the same place. */
function siblings(own: string): string[] {
  const parent = dirname(own);
  try {
    const names = readdirSync(parent).filter((name) => folderName.test(name) && name !== basename(own));
    return names.map((name) => join(parent, name));
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

/**
 * Whether the settings that a launch wrote into its folder name this scheduler, whose place another one has taken in
 * scheduler.json.
 */
function namesAddress(folder: string, address: string): boolean {
  try {
    return address !== "" && readSmallFile(join(folder, "dask.yaml")).includes(address);
  } catch {
    // A launch that never had a scheduler.
    return false;
  }
}

const sameOwner = (a: Owner | undefined, b: Owner): boolean =>
  a !== undefined && a.host === b.host && a.pid === b.pid && a.startTime === b.startTime;
