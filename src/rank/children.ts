import { readdirSync, readFileSync } from "node:fs";

/** A process and all that descends from it; itself alone where the kernel does not list children (proc(5), CONFIG_PROC_CHILDREN). */
export function processTree(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(processTree)];
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    // It, or one of its threads, has just ended.
    return [];
  }
}
