import { readFileSync } from "node:fs";

/**
 * Resident memory of a process, its greatest so far, in bytes: `/proc/<pid>/status`, in kB there, whatever the size of
 * this machine's pages.
 */
export function residentBytes(pid: number): { readonly now: number; readonly peak: number } | undefined {
  const text = read(pid, "status");
  const now = kilobytes(text, "VmRSS");
  return now === undefined ? undefined : { now, peak: kilobytes(text, "VmHWM") ?? now };
}

/**
 * How much of a process' resident memory is the part of others that share it, in bytes: a forked worker shares most
 * with its host's fork server. From smaps_rollup (proc(5), Linux 4.14), which walks all pages: a millisecond for each
 * 60 MiB. Of memory that is no file's `most` bytes at most: what its tasks fork shares all that it has. Without
 * `Pss_Anon` (from Linux 5.4) that goes for all. 0 where the system does not tell; compat/process_memory.py counts the
 * same.
 */
export function sharedBytes(pid: number, most = Infinity): number {
  const text = read(pid, "smaps_rollup");
  const part = Math.max(0, (kilobytes(text, "Rss") ?? 0) - (kilobytes(text, "Pss") ?? 0));
  const [all, own] = [kilobytes(text, "Anonymous"), kilobytes(text, "Pss_Anon")];
  const forked = all === undefined || own === undefined ? part : Math.min(part, Math.max(0, all - own));
  return Math.min(forked, most) + part - forked;
}

/** What is shared is measured anew so often (ms) while a process is not over its limit. */
const measureEvery = 10_000;

/**
 * Tells one process' own part of its resident memory, in bytes; 0 once it is gone. To measure what is shared costs too
 * much for every look: between two measurements growth counts in full. `limit` in bytes: below it nothing is measured,
 * and what is told above it was measured now. `most` as in `sharedBytes`.
 */
export function ownMemory({
  resident = (pid: number) => residentBytes(pid)?.now ?? 0,
  shared = sharedBytes,
  now = () => performance.now(),
} = {}): (pid: number, limit: number, most: number) => number {
  let last = { pid: 0, shared: 0, at: 0 };
  return (pid, limit, most) => {
    const bytes = resident(pid);
    if (bytes < limit) return bytes;
    if (last.pid !== pid) last = { pid, shared: 0, at: -Infinity };
    if (bytes - last.shared >= limit || now() - last.at >= measureEvery)
      last = { pid, shared: shared(pid, most), at: now() };
    return bytes - last.shared;
  };
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    // It has just ended, or the system is an older one.
    return "";
  }
}

function kilobytes(text: string, name: string): number | undefined {
  const [, number] = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text) ?? [];
  return number === undefined ? undefined : Number(number) * 1024;
}
