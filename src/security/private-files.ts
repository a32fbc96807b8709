import { randomBytes } from "node:crypto";
import { chmodSync, constants, lstatSync, mkdirSync, statSync, type Stats } from "node:fs";
import { mkdtemp, open, rename, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { Failure } from "../errors/failure.ts";
import { systemCode, unwritable } from "./file-problems.ts";
import { sharingGroup } from "./groups.ts";

/** The permission bits that let anyone but the owner in. */
const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;
/** No secret or record of ours is larger than this (bytes). */
const LARGEST = 4 * 1024 * 1024;

/**
 * Makes sure that `path` is a folder that only its owner, us, can enter (mode 0700), and returns it; its parent must
 * exist. Symbolic links are not followed and what another user put there is not used. It is quick and blocks: two or
 * three system calls. With `groupParent`, its parent may be one that a group writes in: members can take the folder
 * away, but not enter it; whoever goes by its name must then look at the owner of what is found there.
 * Throws TSD-071 (not private, or not ours) and TSD-072 (cannot be written).
 */
export function privateFolder(path: string, { groupParent = false }: { readonly groupParent?: boolean } = {}): string {
  refuseOpenParent(path, groupParent);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw unwritable(path, error);
  }
  const found = statOf(path);
  const problem = folderProblem(found);
  if (problem !== undefined) throw notPrivate(path, problem);
  if ((found.mode & OTHERS) !== 0) close(path);
  return path;
}

/** Makes a folder (0700) of a new name in the temporary folder. Throws TSD-072. */
export async function temporaryFolder(prefix: string): Promise<string> {
  const path = join(tmpdir(), prefix);
  try {
    return await mkdtemp(path);
  } catch (error) {
    throw unwritable(path, error);
  }
}

/**
 * Writes a file of mode 0600 as a whole: under a temporary name first, then renamed, so that a reader sees the old or
 * the new one. Throws TSD-072.
 */
export async function writePrivateFile(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}`);
  try {
    await writeNew(temporary, content);
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(ignoreMissing);
    throw unwritable(path, error);
  }
}

/**
 * Reads a file only if it is ours and closed to everyone else; symbolic links are not followed. UTF-8, at most
 * `largest` bytes. Throws TSD-073 (it is open to others, or not ours) and TSD-074 (it cannot be read).
 */
export async function readPrivateFile(
  path: string,
  { largest = LARGEST }: { readonly largest?: number } = {},
): Promise<string> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const found = await file.stat();
    const problem = fileProblem(found, largest);
    if (problem !== undefined) throw new Failure("TSD-073", { path, problem });
    return await file.readFile("utf8");
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (systemCode(error) === "ELOOP") throw new Failure("TSD-073", { path, problem: "it is a symbolic link" });
    throw new Failure("TSD-074", { path, problem: unreadable(error) }, { cause: error });
  }
}

async function writeNew(path: string, content: string | Uint8Array): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  await using file = await open(path, flags, 0o600);
  await file.writeFile(content);
}

/**
 * In a folder where others may rename anything (writable for them and not sticky, unlike /tmp), or that is somebody
 * else's, nothing of ours would stay ours. Throws TSD-071 where others may replace what lies at `path`, by the folder
 * that it is in, and TSD-072 where there is no such folder.
 */
export function refuseOpenParent(path: string, groupParent: boolean): void {
  const parent = dirname(path);
  let found: Stats;
  try {
    found = lstatSync(parent);
    // The parent may be reached through a link (/tmp on some systems); what counts is where it leads.
    if (found.isSymbolicLink()) found = lstatSync(`${parent}/.`);
  } catch (error) {
    throw unwritable(path, error);
  }
  if ((found.mode & 0o002) !== 0 && (found.mode & STICKY) === 0) {
    throw notPrivate(path, `everyone may replace it, because ${parent} is writable for all and has no sticky bit`);
  }
  // Asked in full only where a group may write, which is rare for a temporary folder.
  if (groupParent || (found.mode & 0o020) === 0 || (found.mode & STICKY) !== 0) return;
  const group = sharingGroup(parent);
  if (group !== undefined)
    throw notPrivate(
      path,
      `the group ${group} may replace it, because ${parent} is writable for it and has no sticky bit`,
    );
}

function statOf(path: string): Stats {
  try {
    return lstatSync(path);
  } catch (error) {
    throw unwritable(path, error);
  }
}

function folderProblem(found: Stats): string | undefined {
  if (found.isSymbolicLink()) return "it is a symbolic link";
  if (!found.isDirectory()) return "it is not a folder";
  if (found.uid !== process.geteuid?.()) return `it belongs to another user (uid ${found.uid})`;
  if ((found.mode & OTHERS_WRITE) !== 0) return `others may write in it (mode ${octal(found.mode)})`;
  return undefined;
}

function fileProblem(found: Stats, largest: number): string | undefined {
  if (!found.isFile()) return "it is not a plain file";
  if (found.uid !== process.geteuid?.()) return `it belongs to another user (uid ${found.uid})`;
  if ((found.mode & OTHERS) !== 0) return `others may open it (mode ${octal(found.mode)})`;
  if (found.size > largest) return `it is far too large (${found.size} bytes)`;
  return undefined;
}

/** Closes a folder of ours that others may only read, and checks that the file system really did it. */
function close(path: string): void {
  try {
    chmodSync(path, 0o700);
  } catch (error) {
    throw unwritable(path, error);
  }
  const { mode } = statOf(path);
  if ((mode & OTHERS) !== 0) {
    throw notPrivate(path, `its file system does not keep permissions (mode ${octal(mode)} after chmod 700)`);
  }
}

function notPrivate(path: string, problem: string): Failure {
  return new Failure("TSD-071", { path, problem });
}

function unreadable(error: unknown): string {
  const code = systemCode(error);
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "it may not be read by you";
  return error instanceof Error ? error.message : String(error);
}

function ignoreMissing(error: unknown): void {
  if (systemCode(error) === undefined) throw error;
}

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, "0");

/**
 * Makes a folder that only we may enter, and those above it, as `mkdir -p`; what it made is added to `made` as it is
 * made. Node's own `recursive` never returns where a file system says ENOENT for a folder whose parent is there
 * (`/proc`, some automounts). Throws what the system says.
 */
export function makeFolder(path: string, made: string[] = []): void {
  const make = (): NodeJS.ErrnoException | undefined => {
    try {
      mkdirSync(path, { mode: 0o700 });
      made.push(path);
      return undefined;
    } catch (error) {
      return error as NodeJS.ErrnoException;
    }
  };
  let failed = make();
  if (failed?.code === "ENOENT" && dirname(path) !== path) {
    makeFolder(dirname(path), made);
    failed = make();
  }
  if (failed?.code === "EEXIST" && statSync(path).isDirectory()) return;
  if (failed !== undefined) throw failed;
}
