import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { deadlines } from "../deadlines.ts";
import { isTracker, killPid } from "./child.ts";

/** The variable by which whatever a script has started is known, also when its parent is gone. */
export const scriptMark = "TSDASK_SCRIPT_MARK";

/** How often (ms) it is looked whether what is left has ended. */
const lookEvery = 20;

/**
 * Ends the processes that a script left running: they would hold its output open, and the launcher with it, and outlive
 * the job. Resolves to what they were called, empty when there were none.
 */
export async function endLeftBehind(mark: string): Promise<readonly string[]> {
  if (await allGone(mark, deadlines.orphansEnd)) return [];
  const left = marked(mark);
  for (const pid of left) killPid(pid, "SIGTERM");
  const names = left.map(nameOf);
  if (await allGone(mark, deadlines.orphansTerminated)) return names;
  for (const pid of marked(mark)) if (!isTracker(pid)) killPid(pid, "SIGKILL");
  if (!(await allGone(mark, deadlines.orphansTerminated))) for (const pid of marked(mark)) killPid(pid, "SIGKILL");
  return names;
}

async function allGone(mark: string, within: number): Promise<boolean> {
  const until = performance.now() + within;
  while (marked(mark).length > 0) {
    if (performance.now() > until) return false;
    await pause(lookEvery);
  }
  return true;
}

/**
 * The living processes of ours whose environment, as it was when they were started, holds the mark (proc(5),
 * `environ`).
 */
function marked(mark: string): number[] {
  const entry = `${scriptMark}=${mark}`;
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    return Number.isInteger(pid) && pid !== process.pid && environment(pid).includes(entry) ? [pid] : [];
  });
}

function environment(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
  } catch {
    // Somebody else's process, or one that has just ended.
    return [];
  }
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    // It has just ended.
    return String(pid);
  }
}
