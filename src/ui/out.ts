import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";

/**
 * Where a rank writes what people read. Nothing here throws or waits: a reader that has gone away costs the text, never
 * the rank.
 */
export interface Out {
  /** Queues bytes in order; `false` asks the caller to wait for `drained()` before it sends more. */
  write(text: Uint8Array | string): boolean;
  /** Resolves when the queue has room again, or the reader is gone. */
  drained(): Promise<void>;
  /** Resolves when everything is written, the reader is gone, or `ms` milliseconds have passed. */
  flush(ms: number): Promise<void>;
  /**
   * On a terminal: keeps `text` (one line, no newline) below everything else that is written; `undefined` removes it.
   * Elsewhere: nothing.
   */
  overlay(text: string | undefined): void;
  /** Whether a terminal is at the other end, and it is ours: an overlay would show. */
  readonly tty: boolean;
  /** A terminal is at the other end after all, behind the launcher. */
  asTerminal(): void;
  /** The script writes to the same terminal from now on: the overlay goes, and none comes again. */
  release(): void;
}

/** Back to the line's start, and the rest of it cleared (ECMA-48 EL). */
const clearLine = "\r\u001b[K";

/** Bytes that may wait for a slow reader before `write` answers `false`. */
const highWater = 256 * 1024;
const retryMs = 20;

type Channel = (bytes: Uint8Array, done: (written: number | "gone") => void) => void;

/**
 * Opens file descriptor `fd` (2, standard error) for writing.
 *
 * `process.stderr` is not used on purpose: Node switches a pipe's open file description to non-blocking, which the
 * script that inherits it would meet as `BlockingIOError`. A pipe is opened a second time through `/proc/self/fd`
 * instead, which gives this process flags of its own; anything else (a file, a terminal, a socket) is written as it is,
 * one system call at a time.
 */
export function openOut(fd: 1 | 2 = 2, { tty = false }: { tty?: boolean } = {}): Out {
  let ours = tty;
  let released = false;
  const queue = openQueue(fd);
  const send = queue.send;
  let below = "";
  const overlay = (text = ""): void => {
    if (!ours || text === below) return;
    send(`${clearLine}${text}`);
    below = text;
  };

  return {
    get tty() {
      return ours;
    },
    overlay,
    asTerminal: () => {
      ours = !released;
    },
    release: () => {
      overlay(undefined);
      ours = false;
      released = true;
    },
    write: (text) =>
      send(below === "" ? text : Buffer.concat([Buffer.from(clearLine), Buffer.from(text), Buffer.from(below)])),
    drained: queue.drained,
    flush: queue.flush,
  };
}

/** What waits to be written to the descriptor, in order; what is queued when its reader has gone is dropped. */
function openQueue(fd: 1 | 2): Pick<Out, "drained" | "flush"> & {
  /** False when so much waits that the writer should, too. */
  readonly send: (text: Uint8Array | string) => boolean;
} {
  let channel: Channel | undefined;
  let queue: Uint8Array[] = [];
  let queued = 0;
  let gone = false;
  let busy = false;
  const waiting: (() => void)[] = [];
  const flushing: (() => void)[] = [];

  const wake = (): void => {
    if (queued <= highWater / 2) for (const resolve of waiting.splice(0)) resolve();
    if (queued === 0) for (const resolve of flushing.splice(0)) resolve();
  };

  const next = (): void => {
    while (!busy) {
      const bytes = queue[0];
      if (bytes === undefined) break;
      busy = true;
      let returned = false;
      (channel ??= openChannel(fd))(bytes, (written) => {
        busy = false;
        if (written === "gone") {
          gone = true;
          queue = [];
          queued = 0;
        } else {
          queued -= written;
          if (written === bytes.length) queue.shift();
          else queue[0] = bytes.subarray(written);
        }
        if (returned) next();
      });
      returned = true;
    }
    wake();
  };

  return {
    send: (text) => {
      if (gone || text.length === 0) return true;
      const bytes = typeof text === "string" ? Buffer.from(text) : text;
      queue.push(bytes);
      queued += bytes.length;
      next();
      return queued <= highWater;
    },
    drained: () => (queued <= highWater / 2 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    flush: (ms) => {
      if (queued === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        flushing.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
  };
}

function openChannel(fd: 1 | 2): Channel {
  return reopenedPipe(fd) ?? direct(fd);
}

function reopenedPipe(fd: number): Channel | undefined {
  let own: number | undefined;
  try {
    if (!fstatSync(fd).isFIFO()) return undefined;
    own = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
    const socket = new Socket({ fd: own, readable: false, writable: true });
    let report: ((written: "gone") => void) | undefined;
    socket.on("error", () => report?.("gone"));
    socket.unref();
    return (bytes, done) => {
      // A pending write keeps the process alive only as long as somebody awaits `flush`.
      report = done;
      socket.write(bytes, (error) => {
        if (report === undefined) return;
        report = undefined;
        done(error ? "gone" : bytes.length);
      });
    };
  } catch {
    // Another user's pipe, or no /proc: the descriptor is used as it is.
    if (own !== undefined) closeSync(own);
    return undefined;
  }
}

function direct(fd: number): Channel {
  return (bytes, done) => {
    try {
      done(writeSync(fd, bytes));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EAGAIN") setTimeout(() => done(0), retryMs);
      // A full disk may have room again later; this text is lost, the rank goes on.
      else if (code === "ENOSPC" || code === "EDQUOT" || code === "EIO") done(bytes.length);
      else done("gone");
    }
  };
}
