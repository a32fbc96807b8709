import type { Readable } from "node:stream";
import type { Out } from "./out.ts";

/** Levels of Python's `logging`, lowest first. */
export const logLevels = ["debug", "info", "warning", "error", "critical"] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * Bytes of one written line, label and newline included: what a pipe takes as one piece (POSIX `PIPE_BUF` on Linux).
 */
const lineBytes = 4096;
const tailBytes = 4096;
const newline = 10;

export interface Relay {
  /** Resolves when the child has closed its end (or `stop` was called) and the last line is queued. */
  readonly done: Promise<void>;
  /** The child's last words, at most 4 KiB of whole lines, unlabelled: for the message that tells why it died. */
  tail(): string;
  /**
   * The child is being ended: what Dask logs of broken connections from now on is no news, and is left out unless the
   * level is `info` or `debug`.
   */
  quieten(): void;
  /** Stops reading, for a child whose own children keep its output open. */
  stop(): void;
}

/**
 * Copies a child's output to `out`, line by line, each line behind `label` (`[rank 3 h1]`).
 *
 * Bytes are never decoded: what is not UTF-8 arrives as it left. A line longer than 4 KiB is cut into labelled pieces,
 * between characters. While `out` is full the child is not read. Lines of Dask's log below `level` are left out, with
 * the lines that belong to them.
 */
export function relay({
  source,
  out,
  label,
  level = "debug",
  onLine,
}: {
  readonly source: Readable;
  readonly out: Out;
  readonly label: string;
  readonly level?: LogLevel;
  /** Gets each line that is shown, without its label. */
  readonly onLine?: (line: Buffer) => void;
}): Relay {
  const prefix = Buffer.from(`${label} `);
  const room = Math.max(64, lineBytes - prefix.length - 1);
  let wanted = logFilter(level);
  const { promise, resolve } = Promise.withResolvers<void>();
  let held: Buffer = Buffer.alloc(0);
  let continued = false;
  const tail = keepTail();
  let ended = false;
  let shown = true;
  const emit = (line: Buffer, pieces: Buffer[]): void => {
    if (!continued) shown = wanted(line);
    tail.add(Buffer.from(line));
    if (!shown) return;
    pieces.push(prefix, line, lineEnd);
    onLine?.(line);
  };

  const take = (chunk: Buffer): boolean => {
    const pieces: Buffer[] = [];
    let rest = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    for (;;) {
      const end = rest.indexOf(newline);
      if (end >= 0 && end <= room) {
        emit(rest.subarray(0, end), pieces);
        rest = rest.subarray(end + 1);
        continued = false;
      } else if (rest.length > room) {
        const cut = characterStart(rest, room);
        emit(rest.subarray(0, cut), pieces);
        rest = rest.subarray(cut);
        continued = true;
      } else break;
    }
    held = Buffer.from(rest);
    return writeLines(out, pieces);
  };

  const finish = (): void => {
    if (ended) return;
    ended = true;
    source.off("data", onData);
    if (held.length > 0) {
      const pieces: Buffer[] = [];
      emit(held, pieces);
      writeLines(out, pieces);
      held = Buffer.alloc(0);
    }
    resolve();
  };

  const onData = (chunk: Buffer | string): void => {
    if (take(typeof chunk === "string" ? Buffer.from(chunk) : chunk)) return;
    source.pause();
    void out.drained().then(() => source.resume());
  };
  source.on("data", onData);
  for (const event of ["end", "close", "error"]) source.once(event, finish);
  return {
    done: promise,
    tail: tail.text,
    quieten: () => {
      if (logLevels.indexOf(level) >= logLevels.indexOf("warning")) wanted = logFilter("critical");
    },
    stop: finish,
  };
}

const lineEnd = Buffer.from("\n");

/** Keeps the last lines, as many as fit into `tailBytes`, and the very last one in any case. */
function keepTail(): { readonly add: (line: Buffer) => void; readonly text: () => string } {
  const lines: Buffer[] = [];
  let size = 0;
  return {
    add: (line) => {
      lines.push(line);
      size += line.length + 1;
      while (size > tailBytes && lines.length > 1) size -= (lines.shift()?.length ?? 0) + 1;
    },
    text: () => Buffer.concat(lines.flatMap((line) => [line, lineEnd])).toString(),
  };
}

/** Groups whole lines into writes that a pipe shared by several ranks takes without mixing them. */
function writeLines(out: Out, pieces: readonly Buffer[]): boolean {
  let more = true;
  let batch: Buffer[] = [];
  let size = 0;
  for (let index = 0; index < pieces.length; index += 3) {
    const line = pieces.slice(index, index + 3);
    const length = line.reduce((sum, piece) => sum + piece.length, 0);
    if (size + length > lineBytes && size > 0) {
      more = out.write(Buffer.concat(batch));
      batch = [];
      size = 0;
    }
    batch.push(...line);
    size += length;
  }
  return size > 0 ? out.write(Buffer.concat(batch)) : more;
}

/** The last place at or before `at` where a UTF-8 character starts (or `at` itself when the bytes are not UTF-8). */
function characterStart(bytes: Buffer, at: number): number {
  for (let back = 0; back < 4; back += 1) {
    if (((bytes[at - back] ?? 0) & 0xc0) !== 0x80) return at - back;
  }
  return at;
}

/** What Python writes between the tracebacks of two exceptions of which one led to the other. */
const chained = /^(The above exception was the direct cause|During handling of the above exception)/;

/**
 * A filter for Dask's log format (`2026-01-31 12:00:00,123 - distributed.worker - INFO - text`, from `logging.format`
 * in distributed.yaml). A line that is no log line is kept, unless it is the indented text or the traceback of a record
 * that was left out.
 */
export function logFilter(level: LogLevel): (line: Buffer) => boolean {
  const least = logLevels.indexOf(level);
  if (least === 0) return () => true;
  let hiding: "no" | "record" | "traceback" | "end" = "no";
  return (line) => {
    const head = line.subarray(0, 200).toString("latin1");
    const found = / - (DEBUG|INFO|WARNING|ERROR|CRITICAL) - /.exec(head);
    if (found !== null && /^\d{4}-\d\d-\d\d|^[\w.]+ - /.test(head)) {
      const hidden = logLevels.indexOf((found[1] ?? "").toLowerCase() as LogLevel) < least;
      hiding = hidden ? "record" : "no";
      return !hidden;
    }
    if (hiding === "no") return true;
    if (hiding !== "end" && /^\s/.test(head)) return false;
    if (head.startsWith("Traceback (most recent call last)")) {
      hiding = "traceback";
      return false;
    }
    // The last line of a traceback is the exception itself; that of another, which it led to, may follow
    // (traceback.py).
    const hide = hiding === "traceback" || (hiding === "end" && (head === "" || chained.test(head)));
    hiding = hide ? "end" : "no";
    return !hide;
  };
}
