import { existsSync, lstatSync, readdirSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { HostPaths } from "../launcher/host-paths.ts";

/** A folder that was changed less than so long ago (ms) may belong to a launch that is just starting. */
const settledAfter = 10_000;

/**
 * Removes what launches of this user left on this host when they were killed with all their processes at once, as `srun` and
 * batch systems do: folders in which nobody listens any more. Never throws: whatever cannot be removed stays.
 */
export async function sweepHostFolders({ base, folder }: HostPaths, now: number = Date.now()): Promise<void> {
  await Promise.all(
    names(base).map(async (name) => {
      const path = join(base, name);
      if (name.startsWith("post-") && lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() && !existsSync(path))
        rmSync(path, { force: true });
      if (path === folder || !/^[0-9a-f]{16}$/.test(name) || changed(path) > now - settledAfter) return;
      const sockets = names(path).filter((file) => file.includes(".sock"));
      const alive = await Promise.all(sockets.map((file) => listens(join(path, file))));
      if (alive.includes(true)) return;
      try {
        rmSync(path, { recursive: true, force: true });
      } catch {
        // Somebody else's, or on a file system that fails: it is no business of this launch.
      }
    }),
  );
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

/** Whether a process holds this unix socket open for connections; only a refusal is a no. */
function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
  });
}
