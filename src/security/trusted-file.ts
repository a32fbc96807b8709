import { constants, lstatSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Failure } from "../errors/failure.ts";
import { systemCode } from "./file-problems.ts";
import { groupName, isOwnGroup } from "./groups.ts";

const OTHERS_WRITE = 0o002;
const GROUP_WRITE = 0o020;
const STICKY = 0o1000;
/** As many links as Linux itself follows on one path (path_resolution(7)). */
const MOST_LINKS = 40;

/** Whose word a file's folders may be. */
export interface Trust {
  /**
   * True: folders that a group may write in, or that another user made for several, are believed as well
   * (`--trust-shared-folder`).
   */
  readonly shared?: boolean;
}

/**
 * Reads a file (UTF-8) that decides where a cluster is. It must be a plain file, no link, owned by us or root and
 * written by nobody else, and no folder on the way to it may be one where somebody else could put another file, or
 * another folder, in its place. Never waits for a pipe and never reads more than `limit` bytes. Throws TSD-120 when it
 * cannot be believed, and the system's error when it cannot be read.
 */
export async function readTrustedFile(
  path: string,
  { limit, ...trust }: Trust & { readonly limit: number },
): Promise<string> {
  refuseReplaceable(path, trust);
  return readPlainFile(path, { limit, refuse: (found) => writtenByOthers(path, found) });
}

/**
 * Reads a plain file (UTF-8) that anyone may have put there, without following a link, waiting for a pipe or reading
 * more than `limit` bytes. `refuse` may throw for what the open descriptor says of it. Throws TSD-120, and the system's
 * error when it cannot be read.
 */
export async function readPlainFile(
  path: string,
  { limit, refuse }: { readonly limit: number; readonly refuse?: (found: Stats) => void },
): Promise<string> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (systemCode(error) === "ELOOP")
      throw notBelieved(
        path,
        "it is a symbolic link",
        "Name the file that it leads to (`ls -l` shows it), if that one is yours.",
      );
    if (systemCode(error) === "ENXIO")
      throw notBelieved(path, "it is not a plain file", "Remove it, and start the cluster again.");
    throw error;
  }
  await using opened = file;
  const found = await opened.stat();
  if (!found.isFile())
    throw notBelieved(
      path,
      found.isDirectory() ? "it is a folder" : "it is not a plain file",
      "Name another file, or remove this one and start the cluster again.",
    );
  refuse?.(found);
  return await upTo(opened, path, limit);
}

/**
 * Throws TSD-120 when a folder on the way to `path` lets somebody else replace what stands there. A path that ends
 * early is no matter of this check.
 */
export function refuseReplaceable(path: string, { shared = false }: Trust = {}): void {
  const left = parts(dirname(path));
  let links = 0;
  let at = "/";
  for (;;) {
    const folder = lstatSync(at, { throwIfNoEntry: false });
    if (folder === undefined) return;
    const next = left.shift();
    const name = next ?? basename(path);
    const entry = lstatSync(join(at, name), { throwIfNoEntry: false });
    const who = replacers(folder, entry, shared);
    if (who !== undefined) throw replaceable(path, at, who, folder);
    if (next === undefined || entry === undefined) return;
    if (!entry.isSymbolicLink()) at = join(at, next);
    else {
      if ((links += 1) > MOST_LINKS)
        throw notBelieved(path, "too many links lead to it", "Name it by its real path (`realpath` shows it).");
      const target = readlinkSync(join(at, next));
      left.unshift(...parts(target));
      if (target.startsWith("/")) at = "/";
    }
  }
}

/** Who, besides us and root, can give the name in a folder to something else; `undefined`: nobody. */
function replacers(folder: Stats, entry: Stats | undefined, shared: boolean): string | undefined {
  if (!isOurs(folder.uid) && !isUnknownRoot(folder.uid) && !shared) return `its owner (uid ${folder.uid})`;
  const others = (folder.mode & OTHERS_WRITE) !== 0;
  const group = (folder.mode & GROUP_WRITE) !== 0;
  if (!others && !group) return undefined;
  if ((folder.mode & STICKY) !== 0)
    return entry === undefined || isOurs(entry.uid) || isUnknownRoot(entry.uid)
      ? undefined
      : `the owner of what lies there (uid ${entry.uid})`;
  if (others) return "everyone";
  return shared || isOwnGroup(folder.gid) ? undefined : `the group ${groupName(folder.gid)}`;
}

function writtenByOthers(path: string, found: Stats): void {
  if (!isOurs(found.uid)) {
    throw notBelieved(
      path,
      `it belongs to another user (uid ${found.uid})`,
      "Name a file of your own; a cluster of somebody else's runs that user's code as you.",
    );
  }
  if ((found.mode & OTHERS_WRITE) !== 0 || ((found.mode & GROUP_WRITE) !== 0 && !isOwnGroup(found.gid))) {
    throw notBelieved(
      path,
      `others may write in it (mode ${octal(found.mode)})`,
      "If you trust what is in it, `chmod go-w` it; else remove it and start the cluster again.",
    );
  }
}

function replaceable(path: string, folder: string, who: string, { mode }: Stats): Failure {
  const cure =
    who.startsWith("the group") || who.startsWith("its owner")
      ? "Use a folder that only you can write in, or, where a group shares this one on purpose and you trust its members, say --trust-shared-folder."
      : `Use a folder of your own for the cluster (start it there, or give --scheduler-file), or \`chmod o-w ${folder}\` if it is yours.`;
  return notBelieved(path, `${who} may replace it in ${folder} (mode ${octal(mode)})`, cure);
}

const notBelieved = (path: string, problem: string, cure: string): Failure =>
  new Failure("TSD-120", { path, problem, cure });

const isOurs = (uid: number): boolean => uid === process.geteuid?.() || uid === 0;

/**
 * In a user namespace that does not know the machine's root (rootless containers), root's folders show the overflow uid
 * (user_namespaces(7)).
 */
function isUnknownRoot(uid: number): boolean {
  try {
    return (
      uid === Number(readFileSync("/proc/sys/kernel/overflowuid", "latin1")) &&
      !/^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "latin1"))
    );
  } catch {
    // Without /proc nothing is known of namespaces.
    return false;
  }
}

/** What a file holds now, if that is no more than `limit` bytes: one that others write to may grow while it is read. */
async function upTo(file: FileHandle, path: string, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for (;;) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafe(64 * 1024) });
    if (bytesRead === 0) return Buffer.concat(chunks).toString("utf8");
    chunks.push(buffer.subarray(0, bytesRead));
    size += bytesRead;
    if (size > limit)
      throw notBelieved(
        path,
        `it is far too large (more than ${limit} bytes)`,
        "Name the right file, or remove this one and start the cluster again.",
      );
  }
}

const parts = (path: string): string[] => path.split("/").filter((part) => part !== "" && part !== ".");

const octal = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, "0");
