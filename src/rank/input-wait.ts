import { readFileSync, readlinkSync } from "node:fs";
import { deadlines } from "../deadlines.ts";
import { processTree } from "../launcher/proc-stat.ts";

/** How often (ms) the script is looked at. */
const lookEvery = 5_000;
/** Linux' numbers of read(2) and readv(2), by Node's name of the machine (asm/unistd.h). */
const reads: Readonly<Record<string, readonly string[]>> = { x64: ["0", "19"], arm64: ["63", "65"] };

/**
 * Calls `onWait` once when process `pid`, or one that descends from it, has stood in a read of a pipe as its standard
 * input for `after` ms without a byte or anything else coming in between; on a terminal people see that they are asked.
 * Returns what ends the watch.
 */
export function watchInput({
  pid,
  onWait,
  after = deadlines.scriptInput,
  every = lookEvery,
}: {
  readonly pid: number;
  readonly onWait: (seconds: number) => void;
  readonly after?: number;
  readonly every?: number;
}): () => void {
  return watchUntilSame({
    look: () =>
      processTree(pid)
        .map(readerAt)
        .find((found) => found !== undefined),
    onSame: (_, seconds) => onWait(seconds),
    after,
    every,
  });
}

/** The name that python/tsdask_mpi/adopt gives to a script that has returned while a thread of it still runs. */
const returned = "tsdask:returned\n";

/**
 * Calls `onStay` once when process `pid`, or one that descends from it, has said for `after` ms that it is a script
 * that has returned, and which a thread keeps. Returns what ends the watch.
 */
export function watchReturn({
  pid,
  onStay,
  after = deadlines.scriptReturned,
  every = lookEvery,
}: {
  readonly pid: number;
  readonly onStay: (pid: number, seconds: number) => void;
  readonly after?: number;
  readonly every?: number;
}): () => void {
  return watchUntilSame({
    look: () => processTree(pid).find((one) => nameOf(one) === returned),
    onSame: onStay,
    after,
    every,
  });
}

/**
 * Looks every `every` ms; calls `onSame` once when it has seen the same for `after` ms, and not undefined. Returns what
 * ends it.
 */
function watchUntilSame<T extends string | number>({
  look,
  onSame,
  after,
  every,
}: {
  readonly look: () => T | undefined;
  readonly onSame: (what: T, seconds: number) => void;
  readonly after: number;
  readonly every: number;
}): () => void {
  let seen: { readonly what: T; readonly since: number } | undefined;
  const timer = setInterval(() => {
    const what = look();
    if (what === undefined) seen = undefined;
    else if (seen?.what !== what) seen = { what, since: performance.now() };
    if (seen === undefined || performance.now() - seen.since < after) return;
    clearInterval(timer);
    onSame(seen.what, Math.round((performance.now() - seen.since) / 1000));
  }, every);
  timer.unref();
  return () => clearInterval(timer);
}

function nameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, "latin1");
  } catch {
    // It has just ended.
    return undefined;
  }
}

/**
 * Names this one wait of a process for its standard input, or undefined when it does something else or that is no pipe.
 */
function readerAt(pid: number): string | undefined {
  try {
    const [number = "", fd] = readFileSync(`/proc/${pid}/syscall`, "latin1").split(" ");
    if (fd !== "0x0" || reads[process.arch]?.includes(number) !== true) return undefined;
    if (!/^(pipe|socket):/.test(readlinkSync(`/proc/${pid}/fd/0`))) return undefined;
    // A thread that was woken by a byte and reads on has another count.
    const [, switches = ""] =
      /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
    return `${pid} ${switches}`;
  } catch {
    // It has just ended, or the system does not let its parent look.
    return undefined;
  }
}
