import {
  existsSync,
  linkSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { createServer, type Server, type Socket } from "node:net";
import { hostname } from "node:os";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { listens } from "../net/connection-check.ts";
import { pauseFor } from "../timers.ts";
import { systemCode } from "../security/file-problems.ts";
import { privateFolder } from "../security/private-files.ts";
import type { HostPaths } from "../launcher/host-paths.ts";

/** A host's socket, bound by its leader. Connections that come before `onConnection` is called wait for it. */
export interface HostListener {
  readonly onConnection: (reader: (socket: Socket) => void) => void;
  readonly close: () => void;
}

/**
 * Tries to become the leader of this host: the first rank that binds the socket is. Resolves to undefined when another
 * process of this launch leads already; a socket that a dead launch left is replaced. Throws TSD-071 and TSD-072 for a
 * folder that is not private or cannot be made.
 */
export async function becomeLeader(paths: HostPaths): Promise<HostListener | undefined> {
  try {
    return await elected(paths);
  } catch (error) {
    // A full disk takes the folders and no socket; those in which somebody else is are not empty, and stay.
    unmark(paths.folder);
    for (const folder of [paths.folder, paths.base]) removeOwnEmpty(folder);
    throw error;
  }
}

async function elected(paths: HostPaths): Promise<HostListener | undefined> {
  makeFolders(paths);
  mark(paths.folder);
  const own = `${paths.socket}.${process.pid}`;
  rmSync(own, { force: true });
  const { server, listener } = await listen(own);
  for (let attempt = 0; attempt < 20; attempt += 1) {
    try {
      // A hard link is atomic and fails when the name is taken: that is the election.
      linkSync(own, paths.socket);
      return listener;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        server.close();
        rmSync(own, { force: true });
        throw error;
      }
    }
    const led = await listens(paths.socket, deadlines.socketProbe);
    if (led === "yes") {
      server.close();
      return undefined;
    }
    if (led === "unknown") {
      // Its leader lives, but is too busy for the moment: only a socket that refuses is a dead launch's.
      await pauseFor(deadlines.socketProbe);
      continue;
    }
    try {
      unlinkSync(paths.socket);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  server.close();
  return undefined;
}

/**
 * The name of a file that says on which host a launch's folder is in use. Where hosts share the temporary space, each
 * sees the folders of all, and a socket at which another host's process listens looks like one where nobody does.
 */
export const hostMark = (): string => `on.${hostname()}.${bootId()}`;

/**
 * Whether a mark is of this kernel, whose sockets can be tried, or of this host before it was started anew, so that
 * nothing of it can live any more.
 */
export function isOwnMark(name: string): boolean {
  const [, host, boot] = /^on\.(.*)\.([^.]*)$/.exec(name) ?? [];
  return host === hostname() || (boot !== "" && boot === bootId());
}

/** Differs each time that a kernel is started (random(4)); empty where the system has no such thing. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}

function mark(folder: string): void {
  try {
    writeFileSync(join(folder, hostMark()), "", { mode: 0o600 });
  } catch {
    // Then the folder is no other launch's to sweep; its own removes it all the same.
  }
}

/** Takes the mark out of a folder in which nothing else is. */
function unmark(folder: string): void {
  const own = hostMark();
  try {
    if (readdirSync(folder).every((name) => name === own)) rmSync(join(folder, own), { force: true });
  } catch {
    // The folder is gone, or was never made.
  }
}

/**
 * Removes a folder of this user's in which nothing is; any other stays, also where the system would let root remove it.
 */
export function removeOwnEmpty(folder: string): void {
  try {
    if (lstatSync(folder).uid === process.geteuid?.()) rmdirSync(folder);
  } catch {
    // It is in use, or was never made.
  }
}

function makeFolders({ base, folder }: HostPaths): void {
  for (let attempt = 0; ; attempt += 1) {
    privateFolder(base);
    try {
      privateFolder(folder);
      return;
    } catch (error) {
      // Another launch that ends may have removed the empty base in between.
      if (attempt === 10 || existsSync(base)) throw error;
    }
  }
}

/**
 * Removes the launch's folder on this host, and the user's own base when no other launch uses it. Returns what to say
 * when the folder cannot be removed: a launch's end, and its code, do not depend on that.
 */
export function removeHostFolder({ base, folder }: HostPaths): Failure | undefined {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch (error) {
    return new Failure("TSD-195", { host: hostname(), path: folder, problem: systemCode(error) ?? String(error) });
  }
  // Another launch uses it, or has removed it; or somebody else put it there, or keeps us from it, which the next
  // launch is told of (TSD-071).
  removeOwnEmpty(base);
  return undefined;
}

async function listen(path: string): Promise<{ readonly server: Server; readonly listener: HostListener }> {
  let reader: ((socket: Socket) => void) | undefined;
  const early: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    if (reader) reader(socket);
    else early.push(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ path, backlog: 4096 }, resolve);
  });
  return {
    server,
    listener: {
      onConnection: (next) => {
        reader = next;
        for (const socket of early.splice(0)) next(socket);
      },
      close: () => server.close(),
    },
  };
}
