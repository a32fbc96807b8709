import { join } from "node:path";
import { readSmallFile } from "../security/small-file.ts";
import { machine, startTime } from "./process-mark.ts";

/** Whose a cluster folder is: the launch's rank 0. */
export interface Owner {
  readonly host: string;
  readonly pid: number;
  readonly startTime: string;
  /**
   * Where its pid means this process: the boot of the machine, and the space of pids (a container may have its own).
   */
  readonly machine: string;
}

/** The name of its file. Without `.json`, which Dask would read as settings of its own. */
export const ownerName = "owner";

/** Whose a cluster folder is, by the file in it; undefined where that does not say so. */
export function readOwner(folder: string): Owner | undefined {
  try {
    const found = JSON.parse(readSmallFile(join(folder, ownerName))) as Partial<Record<keyof Owner, unknown>>;
    const { host, pid, startTime: since, machine: where } = found;
    return typeof host === "string" && typeof pid === "number" && typeof since === "string"
      ? { host, pid, startTime: since, machine: typeof where === "string" ? where : "" }
      : undefined;
  } catch {
    // No file, or half a file of a launch that was killed in its first moments.
    return undefined;
  }
}

/** Whether the owner's process lives; undefined where it is none of this machine, which cannot tell. */
export function ownerLives({ pid, startTime: since, machine: where }: Owner): boolean | undefined {
  const here = machine();
  return here !== "" && where === here ? startTime(pid) === since : undefined;
}
