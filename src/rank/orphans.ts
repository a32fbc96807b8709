import { readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { deadlines } from "../deadlines.ts";
import { procStat, startedWith } from "../launcher/proc-stat.ts";
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
  const left = look(mark).ours;
  for (const pid of left) killPid(pid, "SIGTERM");
  const names = left.map(nameOf);
  if (await allGone(mark, deadlines.orphansTerminated)) return names;
  for (const pid of look(mark).ours) if (!isTracker(pid)) killPid(pid, "SIGKILL");
  if (!(await allGone(mark, deadlines.orphansTerminated))) for (const pid of look(mark).ours) killPid(pid, "SIGKILL");
  return names;
}

async function allGone(mark: string, within: number): Promise<boolean> {
  const until = performance.now() + within;
  let suspects: ReadonlySet<number> | undefined;
  for (;;) {
    const { ours, starting } = look(mark);
    // One that is being started may be ours, if it was there at the first look or was ours before.
    const maybe = starting.filter((pid) => suspects?.has(pid) ?? true);
    if (ours.length + maybe.length === 0) return true;
    if (performance.now() > until) return false;
    suspects = new Set([...ours, ...maybe]);
    await pause(lookEvery);
  }
}

/**
 * The living processes whose environment, as it was when they were started, holds the mark; and those that cannot be
 * told, since they are just being started.
 */
function look(mark: string): { readonly ours: readonly number[]; readonly starting: readonly number[] } {
  const entry = `${scriptMark}=${mark}`;
  const ours: number[] = [];
  const starting: number[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const entries = startedWith(pid);
    if (entries === "starting") starting.push(pid);
    else if (typeof entries !== "string" && entries.includes(entry)) ours.push(pid);
  }
  return { ours, starting };
}

/** Its program's name; its number where it has just ended. */
const nameOf = (pid: number): string => procStat(pid)?.command ?? String(pid);
