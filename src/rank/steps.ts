import { readFileSync } from "node:fs";
import { procStat } from "../launcher/proc-stat.ts";
import type { RankStep } from "../protocol/messages.ts";

/** What a rank notes of its own start, for the record of the launch. */
export interface Steps {
  readonly note: (step: RankStep) => void;
  /** How long ago (ms) each step was: hosts' clocks differ, lengths of time do not. */
  readonly ages: () => Readonly<Partial<Record<RankStep, number>>>;
}

/** Notes that a rank meets its host's agent now; `pid` is its own process. */
export function noteSteps(pid: number): Steps {
  const at: Partial<Record<RankStep, number>> = { met: performance.now() };
  return {
    note: (step) => {
      at[step] = performance.now();
    },
    ages: () => {
      const now = performance.now();
      const ages = Object.entries(at).map(([step, when]) => [step, Math.round(now - when)] as const);
      const started = processAge(pid);
      return Object.fromEntries(started === undefined ? ages : [["started", started], ...ages]);
    },
  };
}

/**
 * How long (ms) a process has been there, to a hundredth of a second: proc(5), field 22 of stat is in ticks of 10 ms
 * since boot, as is the first word of uptime in seconds.
 */
function processAge(pid: number): number | undefined {
  const start = procStat(pid)?.start;
  if (start === undefined) return undefined;
  try {
    const uptime = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]);
    return Math.max(0, Math.round(uptime * 1000 - Number(start) * 10));
  } catch {
    // Hidden: the other steps say enough.
    return undefined;
  }
}
