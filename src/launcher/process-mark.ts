import { readFileSync, readlinkSync } from "node:fs";
import { procStat } from "./proc-stat.ts";

/**
 * Where a pid means one process: the boot of the machine, and the space of pids (a container may have its own). Empty
 * where /proc does not tell.
 */
export function machine(): string {
  try {
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    // Not a Linux that we know.
    return "";
  }
}

/**
 * When a process started, in clock ticks since boot (proc(5), field 22 of stat); empty for one that is not there, or
 * has ended and is only not yet waited for.
 */
export function startTime(pid: number): string {
  const stat = procStat(pid);
  return stat === undefined || stat.state === "Z" ? "" : stat.start;
}
