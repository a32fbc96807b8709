import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { signalNumber } from "../../../src/launcher/signals.ts";
import { procStat } from "../../../src/launcher/proc-stat.ts";

/** A process as /proc shows it. Zombies are left out: they are nobody's any more. */
export interface Process {
  readonly pid: number;
  readonly ppid: number;
  readonly group: number;
  readonly arguments: readonly string[];
}

/** A listening TCP socket: its address as hexadecimal /proc notation decodes it, its port, and who holds it. */
export interface Listener {
  readonly pid: number;
  readonly address: string;
  readonly port: number;
}

/** All living processes of this machine. */
export function processes(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = procStat(Number(name));
      if (stat === undefined || stat.state === "Z" || stat.state === "X") return [];
      const line = read(`/proc/${name}/cmdline`) ?? "";
      return [{ pid: Number(name), ppid: stat.parent, group: stat.group, arguments: line.split("\0").slice(0, -1) }];
    });
}

/** The environment a process was started with; empty when it may not be read. */
export function environmentOf(pid: number): Map<string, string> {
  const entries = (read(`/proc/${pid}/environ`) ?? "").split("\0").filter((entry) => entry.includes("="));
  return new Map(entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]));
}

/** All processes that carry this variable with this value, directly or as a descendant of one that does. */
export function marked(name: string, value: string): Process[] {
  const all = processes().filter(({ pid }) => pid !== process.pid);
  const found = new Set(all.filter(({ pid }) => environmentOf(pid).get(name) === value).map(({ pid }) => pid));
  return withDescendants(all, found);
}

/** A process and everything below it. */
export function tree(pid: number): Process[] {
  return withDescendants(processes(), new Set([pid]));
}

/** The TCP sockets on which these processes listen, each in its own network namespace. */
export function listeners(pids: readonly number[]): Listener[] {
  return pids.flatMap((pid) => {
    const inodes = new Set(openFiles(pid).flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
    if (inodes.size === 0) return [];
    return ["tcp", "tcp6"].flatMap((table) => {
      const rows = (read(`/proc/${pid}/net/${table}`) ?? "").split("\n").slice(1);
      return rows.flatMap((row) => {
        const [, local = "", , state, , , , , , inode = ""] = row.trim().split(/\s+/);
        const [address = "", port = ""] = local.split(":");
        return state === "0A" && inodes.has(inode)
          ? [{ pid, address: decodeAddress(address), port: Number.parseInt(port, 16) }]
          : [];
      });
    });
  });
}

/** What the descriptors of a process point to. */
function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => link(`/proc/${pid}/fd/${fd}`) ?? []);
  } catch {
    return []; // It has ended meanwhile, or is not ours to read.
  }
}

/** The working directory of a process; undefined when it has ended or may not be read. */
export function workingFolder(pid: number): string | undefined {
  return link(`/proc/${pid}/cwd`);
}

/** Whether this process lives. */
export function isAlive(pid: number): boolean {
  const state = procStat(pid)?.state;
  return state !== undefined && !["Z", "X"].includes(state);
}

/**
 * Whether this signal waits for the process to take it (proc(5), ShdPnd in status): the same one sent again meanwhile
 * would be one with it (signal(7)). False where the process has ended.
 */
export function isPending(pid: number, signal: NodeJS.Signals): boolean {
  const mask = /^ShdPnd:\s*([0-9a-f]+)$/m.exec(read(`/proc/${pid}/status`) ?? "")?.[1] ?? "0";
  return ((BigInt(`0x${mask}`) >> BigInt(signalNumber(signal) - 1)) & 1n) === 1n;
}

/** Sends a signal to each of these processes; those that have ended meanwhile are no error. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** Kills a process and all below it; they are stopped first, and looked for again: who is stopped starts no more. */
export function killTree(pid: number): void {
  if (pid <= 0) return;
  const stopped = new Set<number>();
  for (let look = 0; look < 20; look += 1) {
    const others = tree(pid).flatMap((one) => (stopped.has(one.pid) ? [] : [one.pid]));
    if (others.length === 0) break;
    signalAll(others, "SIGSTOP");
    for (const one of others) stopped.add(one);
  }
  signalAll([...stopped], "SIGKILL");
}

function withDescendants(all: readonly Process[], found: Set<number>): Process[] {
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const { pid, ppid } of all) if (found.has(ppid)) found.add(pid);
  }
  return all.filter(({ pid }) => found.has(pid));
}

/** /proc/net writes an address as 32-bit words in host order: 0100007F is 127.0.0.1. */
function decodeAddress(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => (word.match(/../g) ?? []).reverse().map((byte) => Number.parseInt(byte, 16)));
  if (bytes.length === 4) return bytes.join(".");
  return bytes.every((byte) => byte === 0)
    ? "::"
    : Buffer.from(bytes)
        .toString("hex")
        .replace(/(.{4})(?=.)/g, "$1:");
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // The process ended between two looks, or belongs to somebody else.
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // As above.
  }
}
