import { readFileSync, readlinkSync } from "node:fs";

/** Where a pid means one process: the boot of the machine, and the space of pids (a container may have its own). Empty where /proc does not tell. */
export function machine(): string {
  try {
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    // Not a Linux that we know.
    return "";
  }
}

/** When a process started, in clock ticks since boot (proc(5), field 22 of stat); empty for one that is not there, or has ended and is only not yet waited for. */
export function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? "" : (fields[19] ?? "");
  } catch {
    // The process is gone.
    return "";
  }
}
