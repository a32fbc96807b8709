import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Command } from "../../test/integration/bed/command.ts";

/**
 * Where a file operation went: files that may lie on shared storage, the host's own temporary folder, or the kernel's
 * own trees.
 */
export type PathKind = "files" | "temporary" | "kernel";

/** One system call that names a file (strace's class %file), by the process (not the thread) that made it. */
export interface FileOperation {
  readonly pid: number;
  /** Seconds since 1970. */
  readonly at: number;
  readonly call: string;
  readonly path: string;
  readonly kind: PathKind;
}

export interface Trace {
  readonly operations: readonly FileOperation[];
  /** The parent of each process that was started in the trace. */
  readonly parents: ReadonlyMap<number, number>;
}

const births = new Set(["clone", "clone3", "fork", "vfork"]);

/** The command under strace, which follows all that it starts and writes what they ask of file systems to `log`. */
export function traced({ file, args, env }: Command, log: string): Command {
  const options = [
    "-f",
    "--seccomp-bpf",
    "-ttt",
    "-s",
    "300",
    "-e",
    `trace=%file,${[...births].join(",")}`,
    "-e",
    "signal=none",
    "-o",
    log,
  ];
  return { file: "strace", args: [...options, file, ...args], env };
}

/**
 * Reads a log that `traced` made (strace(1), option -f: process id, time, call). Threads count for their process; a
 * call that was interrupted by another thread's counts once.
 */
export async function readTrace(log: string, temporary: string): Promise<Trace> {
  const operations: FileOperation[] = [];
  const parents = new Map<number, number>();
  const processOf = new Map<number, number>();
  const owner = (task: number): number => processOf.get(task) ?? task;
  const unfinished = new Map<number, string>();
  for await (const line of createInterface({ input: createReadStream(log, "latin1") })) {
    const [, task, time, rest = ""] = /^(\d+) +(\d+\.\d+) (.*)$/.exec(line) ?? [];
    if (task === undefined) continue;
    const id = Number(task);
    const resumed = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest);
    const [, call = "", text = ""] = /^(\w+)\((.*)$/.exec(rest) ?? [];
    if (births.has(call) && rest.endsWith("<unfinished ...>")) {
      unfinished.set(id, text);
      continue;
    }
    const birth =
      resumed !== null && births.has(resumed[1] ?? "")
        ? `${unfinished.get(id) ?? ""}${resumed[2]}`
        : births.has(call)
          ? text
          : undefined;
    if (birth !== undefined) {
      const child = Number(/= (\d+)(?: \(.*\))?$/.exec(birth)?.[1] ?? 0);
      if (child > 0 && birth.includes("CLONE_THREAD")) processOf.set(child, owner(id));
      else if (child > 0) parents.set(child, owner(id));
    } else if (call !== "") {
      const path = /"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? "";
      operations.push({ pid: id, at: Number(time), call, path, kind: kindOf(path, temporary) });
    }
  }
  return { operations: operations.map((operation) => ({ ...operation, pid: owner(operation.pid) })), parents };
}

function kindOf(path: string, temporary: string): PathKind {
  if (/^\/(proc|sys|dev)(\/|$)/.test(path)) return "kernel";
  return path.startsWith(temporary) || path.startsWith("/dev/shm") ? "temporary" : "files";
}
