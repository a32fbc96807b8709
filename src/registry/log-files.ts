import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fields } from "./snapshot.ts";

/** One line of a launch's log, as its file has it. */
export interface LogLine {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly level: "debug" | "info" | "warn" | "error";
  readonly text: string;
  readonly rank: number | undefined;
  readonly host: string | undefined;
  /** Written by a child of a rank, Dask or what a task prints, not by us. */
  readonly child: boolean;
}

export interface LogFilter {
  readonly rank?: number;
  readonly host?: string;
  /** Only lines from this time on, milliseconds since 1970. */
  readonly since?: number;
}

/**
 * The log files of a launch: all of its own folder; in a folder that the user named, those whose name begins as its
 * launch's do.
 */
export async function logFiles(folder: string, launch: string): Promise<readonly string[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".jsonl")).toSorted();
  const key = launch.split(".")[0] ?? launch;
  const own = names.filter((name) => name.startsWith(`tsdask-${key}`));
  return (own.length > 0 ? own : names.filter((name) => !name.startsWith("tsdask-"))).map((name) => join(folder, name));
}

/** One line of a file; undefined for half a line, or what is no record of ours. Pure. */
export function parseLine(text: string): LogLine | undefined {
  let record: Readonly<Record<string, unknown>>;
  try {
    record = fields(JSON.parse(text));
  } catch {
    return undefined; // A launch that was killed may have left half a line.
  }
  const { level, time, at, rank, host, msg, child } = record;
  const when = Date.parse(String(at ?? time));
  if (typeof msg !== "string" || Number.isNaN(when)) return undefined;
  const more = Object.entries(record).filter(([key]) => !known.has(key));
  const facts = more.map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return {
    at: when,
    level: level === 20 ? "debug" : level === 40 ? "warn" : level === 50 || level === 60 ? "error" : "info",
    text: [msg, ...(facts.length === 0 ? [] : [`(${facts.join(", ")})`])].join(" "),
    rank: typeof rank === "number" ? rank : undefined,
    host: typeof host === "string" ? host : undefined,
    child: child === true,
  };
}

const known = new Set(["level", "time", "at", "rank", "host", "msg", "child"]);

/** Whether a line is one that was asked for. Pure. */
function isWanted({ rank, host, at }: LogLine, wanted: LogFilter): boolean {
  return (
    (wanted.rank === undefined || rank === wanted.rank) &&
    (wanted.host === undefined || host === wanted.host) &&
    (wanted.since === undefined || at >= wanted.since)
  );
}

/** All lines of these files that are wanted, merged in time, and how far (bytes) each file was read. */
export async function readLogs(
  paths: readonly string[],
  wanted: LogFilter,
): Promise<{ readonly lines: readonly LogLine[]; readonly read: ReadonlyMap<string, number> }> {
  const read = new Map<string, number>();
  const lines: LogLine[] = [];
  for (const path of paths) {
    const part = await readFrom(path, 0, wanted);
    lines.push(...part.lines);
    read.set(path, part.end);
  }
  // Files are in order already; a sort that keeps the order of equal times merges them.
  return { lines: lines.toSorted((a, b) => a.at - b.at), read };
}

/** The wanted lines of a file from a place (bytes) on, whole lines only, and the place where the next begin. */
export async function readFrom(
  path: string,
  start: number,
  wanted: LogFilter,
): Promise<{ readonly lines: readonly LogLine[]; readonly end: number }> {
  const size = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (size <= start) return { lines: [], end: start };
  const lines: LogLine[] = [];
  let end = start;
  for await (const bytes of wholeLines(createReadStream(path, { start, end: size - 1 }))) {
    end += bytes.length + 1;
    const line = parseLine(bytes.toString());
    if (line !== undefined && isWanted(line, wanted)) lines.push(line);
  }
  return { lines, end };
}

/**
 * The lines that end with a newline; the last one may still be on its way. Node's readline would also split at U+2028
 * and U+2029, which JSON leaves as they are.
 */
async function* wholeLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pending: Buffer[] = [];
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      yield Buffer.concat([...pending, chunk.subarray(from, end)]);
      pending = [];
      from = end + 1;
    }
    if (from < chunk.length) pending.push(chunk.subarray(from));
  }
}
