import { createHash } from "node:crypto";
import { mkdtemp, readdir, rmdir, unlink } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { isAlive } from "../../launcher/proc-stat.ts";
import { deadlines } from "../../deadlines.ts";
import { Failure } from "../../errors/failure.ts";
import { listens } from "../../net/connection-check.ts";
import { systemCode, unwritable } from "../../security/file-problems.ts";
import { privateFolder } from "../../security/private-files.ts";

/** The socket of ssh's own process in the background, in its folder: short, since a socket's path is. */
export const socketName = "s";
/** The page that leads the browser on, in its folder. */
export const pageName = "open.html";

/**
 * A folder's name says whose it is, by host and process, so that what a killed session has left is told from what
 * another one uses.
 */
const ofHost = (): string => `tsdask-open-${createHash("sha256").update(hostname()).digest("hex").slice(0, 4)}-`;

/**
 * Makes a folder (0700) of this session's on this computer; those of killed sessions go. XDG_RUNTIME_DIR may name a
 * folder that is not there, or another user's (WSL without systemd, tmux after a logout, `sudo -E -u`): the temporary
 * folder is taken then. Throws TSD-071 and TSD-072 where nothing can be kept private.
 */
export async function makeSessionFolder(env: NodeJS.ProcessEnv): Promise<string> {
  const runtime = env["XDG_RUNTIME_DIR"] ?? "";
  if (isAbsolute(runtime))
    try {
      return await sessionFolderIn(runtime);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
  return sessionFolderIn(tmpdir());
}

/** The same in a certain folder. Throws TSD-071 and TSD-072. */
export async function sessionFolderIn(base: string): Promise<string> {
  await sweep(base);
  const path = join(base, `${ofHost()}${process.pid}-`);
  let made: string;
  try {
    made = await mkdtemp(path);
  } catch (error) {
    throw unwritable(path, error);
  }
  try {
    return privateFolder(made);
  } catch (error) {
    await rmdir(made).catch(() => undefined);
    throw error;
  }
}

async function sweep(base: string): Promise<void> {
  const names = await readdir(base).catch(() => []);
  const named = new RegExp(`^${ofHost()}(\\d+)-\\w{6}$`);
  for (const name of names) {
    const pid = named.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    try {
      await removeLeft(privateFolder(join(base, name)));
    } catch (error) {
      // Somebody else's, or in use: it is left alone.
      if (!(error instanceof Failure) && systemCode(error) === undefined) throw error;
    }
  }
}

/**
 * Removes what a session makes in its folder, and nothing else. ssh's process outlives a killed session for some
 * seconds: its socket answers, and stays.
 */
async function removeLeft(folder: string): Promise<void> {
  const socket = join(folder, socketName);
  if ((await listens(socket, deadlines.socketProbe)) !== "no") return;
  for (const path of [socket, join(folder, pageName)])
    await unlink(path).catch((error: unknown) => {
      if (systemCode(error) !== "ENOENT") throw error;
    });
  await rmdir(folder);
}
