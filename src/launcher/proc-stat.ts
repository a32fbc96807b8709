import { readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";

/** What `/proc/<pid>/stat` says of a process (proc(5)). */
export interface ProcStat {
  /** The first 15 bytes of its program's name. */
  readonly command: string;
  /** One letter: `R` running, `S` sleeping, `Z` ended and not waited for. */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** The foreground process group of its terminal; -1 without one. */
  readonly foreground: number;
  /** Processor time of the process and of its children that were waited for, in clock ticks. */
  readonly ticks: number;
  /** When it started, in clock ticks since boot. */
  readonly start: string;
  /**
   * Whether it is in the midst of its execve(2): its words and environment read as empty until the kernel has noted
   * where they end (`env_end`).
   */
  readonly starting: boolean;
}

/** Reads it; undefined for a process that is gone, and where /proc is hidden. */
export function procStat(pid: number | "self", proc = "/proc"): ProcStat | undefined {
  try {
    return parseProcStat(readFileSync(`${proc}/${pid}/stat`, "latin1"));
  } catch {
    // It has ended, or the system does not show it.
    return undefined;
  }
}

/**
 * The fields of the text; undefined when it is none. The name stands in parentheses and may hold anything, parentheses
 * too.
 */
function parseProcStat(text: string): ProcStat | undefined {
  const close = text.lastIndexOf(")");
  const fields = text.slice(close + 2).split(" ");
  const start = fields[19];
  if (close < 0 || start === undefined) return undefined;
  const state = fields[0] ?? "";
  // Threads of the kernel (PF_KTHREAD, linux/sched.h) and ended processes have no memory that it could be in.
  const hasMemory = (Number(fields[6]) & 0x0020_0000) === 0 && !/[ZXx]/.test(state);
  return {
    command: text.slice(text.indexOf("(") + 1, close),
    state,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    foreground: Number(fields[5]),
    ticks: fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0),
    start,
    starting: hasMemory && fields[48] === "0",
  };
}

/**
 * The environment that a process was started with, as `NAME=value` (proc(5), `environ`). `starting` in the midst of its
 * execve(2), where that and its words still read as empty: for 40 µs at least, and 19 ms were seen on busy cores.
 * `ended` for one that is no more, not yet waited for, or has none, `hidden` where the system does not show it.
 */
export function startedWith(pid: number, proc = "/proc"): readonly string[] | "starting" | "ended" | "hidden" {
  try {
    const read = (): string => readFileSync(`${proc}/${pid}/environ`, "latin1");
    let text = read();
    if (text === "") {
      const stat = procStat(pid, proc);
      if (stat?.starting === true) return "starting";
      // It may have been read before the kernel had noted it, and be noted now.
      text = read();
      if (text === "") return "ended";
    }
    return text.split("\0").filter((entry) => entry.includes("="));
  } catch (error) {
    return ["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "") ? "hidden" : "ended";
  }
}

/**
 * A process and all that descends from it; itself alone where the kernel does not list children (proc(5),
 * CONFIG_PROC_CHILDREN).
 */
export function processTree(pid: number): number[] {
  return [pid, ...(childrenOf(pid) ?? []).flatMap(processTree)];
}

/** The children of all threads of a process; undefined when it is gone, or this kernel lists none. */
export function childrenOf(pid: number, proc = "/proc"): readonly number[] | undefined {
  try {
    return readdirSync(`${proc}/${pid}/task`).flatMap((task) =>
      readFileSync(`${proc}/${pid}/task/${task}/children`, "latin1").split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return undefined;
  }
}

/** Whether a process of this host has this id. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whether a process has a handler for the signal (proc(5), SigCgt in status); false where it is gone or hidden. */
export function catches(pid: number, signal: NodeJS.Signals): boolean {
  try {
    const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    return ((BigInt(`0x${mask ?? 0}`) >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n;
  } catch {
    return false; // It has ended, or the system does not show it.
  }
}
