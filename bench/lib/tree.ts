import { readFileSync } from "node:fs";
import { procStat } from "../../src/launcher/proc-stat.ts";
import { marked } from "../../test/integration/bed/processes.ts";

/** What all processes of a launch use together, the launcher and Node included. */
export interface Usage {
  readonly processes: number;
  /**
   * Proportional set size of all of them in bytes: a page that n processes share counts 1/n for each (Linux,
   * /proc/<pid>/smaps_rollup).
   */
  readonly pss: number;
  /** Processor time in seconds that they, and those of their children that have ended, have had so far. */
  readonly cpu: number;
}

/** Clock ticks a second of /proc/<pid>/stat: 100 on every Linux that we support. */
const ticks = 100;

/** Adds up what the processes that carry the variable `name=value` use, and those that descend from them. */
export function usage(name: string, value: string): Usage {
  const pids = marked(name, value).map(({ pid }) => pid);
  return {
    processes: pids.length,
    pss: pids.reduce((sum, pid) => sum + proportionalBytes(pid), 0),
    cpu: pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0),
  };
}

/** How many bytes a process's `Pss:` line tells; 0 when it has ended. */
function proportionalBytes(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1024;
}

function cpuSeconds(pid: number): number {
  return (procStat(pid)?.ticks ?? 0) / ticks;
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // It has just ended.
  }
}
