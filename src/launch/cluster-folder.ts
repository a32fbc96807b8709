import { readFileSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Failure } from "../failure.ts";
import { privateFolder, writePrivateFile } from "../security/private-files.ts";
import { shortName } from "../host/folder.ts";

/** Where a launch keeps what it writes: beside `scheduler.json`, found by every host from the launch's key alone. */
export function clusterFolder(schedulerFile: string, key: string): string {
  return join(dirname(schedulerFile), `.tsdask-${shortName(key)}`);
}

interface Owner {
  readonly host: string;
  readonly pid: number;
  readonly startTime: string;
}

/**
 * Takes the launch's folder: private, and empty. What a launch of the same key left that is no more (a requeued job, a
 * reused id) is removed. Throws TSD-035 when that launch is alive, TSD-071 and TSD-072 when the folder cannot be had.
 */
export async function takeClusterFolder(path: string, host: string): Promise<void> {
  privateFolder(path);
  // Without `.json`, which Dask would read as settings of its own.
  const file = join(path, "owner");
  const owner = readOwner(file);
  if (owner !== undefined && owner.host === host && owner.pid !== process.pid && startTime(owner.pid) === owner.startTime) {
    throw new Failure("TSD-035", { folder: path, host, pid: owner.pid });
  }
  if (owner !== undefined) {
    rmSync(path, { recursive: true, force: true });
    privateFolder(path);
  }
  await writePrivateFile(file, JSON.stringify({ host, pid: process.pid, startTime: startTime(process.pid) } satisfies Owner));
}

/** Removes the launch's folder with all that is in it. */
export async function removeClusterFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
}

function readOwner(file: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Owner;
  } catch {
    // No file, or half a file of a launch that was killed in its first moments.
    return undefined;
  }
}

/** When a process started, in clock ticks since boot (proc(5), field 22 of stat); empty for one that is not there. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    // The process is gone.
    return "";
  }
}
