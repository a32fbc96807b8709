import { closeSync, constants, fstatSync, openSync, read, readFileSync, readSync, readlinkSync } from "node:fs";
import { Socket } from "node:net";
import { isatty, ReadStream } from "node:tty";
import { promisify } from "node:util";
import { largestInput } from "../protocol/messages.ts";
import { launcherOf } from "../ui/terminal.ts";

/** Rank 0's standard input, on its way to a script on another rank. */
export interface Input {
  /**
   * The next bytes, at most `largestInput`; undefined at the end. Reads no more than it is asked for, but for one
   * buffer (64 KB).
   */
  readonly next: () => Promise<Buffer | undefined>;
}

/** A pipe under a descriptor of its own that does not block; undefined for another user's, and without /proc. */
function openedAgain(fd: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/**
 * Opens standard input for reading piece by piece; undefined when there is none: it is /dev/null, at its end, or
 * closed. A pipe is opened a second time, so that its flags stay as they are for whoever shares it; another user's
 * (`… | sudo -u dask tsdask-mpi`) cannot be, and is read as it is.
 */
export function openInput(fd = 0): Input | undefined {
  const kind = kindOf(fd);
  if (kind === "none") return undefined;
  if (kind === "file") return fileInput(fd);
  if (kind === "terminal") return streamInput(new ReadStream(fd), undefined);
  if (kind === "socket") return streamInput(new Socket({ fd, readable: true, writable: false }), undefined);
  const own = openedAgain(fd);
  if (own === undefined) return streamInput(new Socket({ fd, readable: true, writable: false }), undefined);
  const first = waiting(own);
  if (first === "end") {
    closeSync(own);
    return undefined;
  }
  return streamInput(new Socket({ fd: own, readable: true, writable: false }), first);
}

/**
 * Whether something stands on standard input that was surely meant to be read: the rest of a file, or bytes in a pipe
 * (the first of which may be taken out by looking). A pipe that is silent or another user's, a terminal (the
 * launcher's, too) and a socket do not count.
 */
export function inputWaits(fd = 0): boolean {
  const kind = kindOf(fd);
  if (kind === "file") return fstatSync(fd).size > positionOf(fd);
  if (kind !== "pipe" || launcherOnTerminal()) return false;
  const own = openedAgain(fd);
  if (own === undefined) return false;
  const first = waiting(own);
  closeSync(own);
  return Buffer.isBuffer(first);
}

type Kind = "none" | "file" | "terminal" | "socket" | "pipe";

function kindOf(fd: number): Kind {
  if (isatty(fd)) return "terminal";
  try {
    const stat = fstatSync(fd);
    if (stat.isFile()) return "file";
    if (stat.isSocket()) return "socket";
    return stat.isFIFO() ? "pipe" : "none";
  } catch {
    // Closed by whoever started this process.
    return "none";
  }
}

/** What a non-blocking pipe holds at this moment: its bytes, nothing yet, or its end. */
function waiting(fd: number): Buffer | "nothing" | "end" {
  const buffer = Buffer.allocUnsafe(4096);
  try {
    const length = readSync(fd, buffer);
    return length === 0 ? "end" : buffer.subarray(0, length);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return "nothing";
    throw error;
  }
}

/** How much of a file has been read already, by whoever shares the descriptor (proc(5), `fdinfo`). */
function positionOf(fd: number): number {
  return Number(/^pos:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"))?.[1] ?? 0);
}

/** Launchers pass on what is typed: somebody who presses a key while he waits has not sent a script. */
function launcherOnTerminal(): boolean {
  const launcher = launcherOf(process.ppid);
  if (launcher === undefined) return false;
  try {
    return /^\/dev\/(pts\/|tty|console)/.test(readlinkSync(`/proc/${launcher}/fd/0`));
  } catch {
    // Another user's process: it cannot be told.
    return true;
  }
}

function fileInput(fd: number): Input {
  const readSome = promisify(read);
  return {
    next: async () => {
      const buffer = Buffer.allocUnsafe(largestInput);
      const { bytesRead } = await readSome(fd, buffer, 0, largestInput, null);
      return bytesRead === 0 ? undefined : buffer.subarray(0, bytesRead);
    },
  };
}

function streamInput(stream: Socket, first: Buffer | "nothing" | undefined): Input {
  let ended = false;
  let early = Buffer.isBuffer(first) ? first : undefined;
  let wake: (() => void) | undefined;
  const end = (): void => {
    ended = true;
    wake?.();
  };
  stream.on("end", end).on("close", end).on("error", end);
  stream.on("readable", () => wake?.());
  stream.unref();
  return {
    next: async () => {
      if (early !== undefined) {
        const bytes = early;
        early = undefined;
        return bytes;
      }
      for (;;) {
        const chunk =
          stream.readableLength === 0
            ? (stream.read() as Buffer | null)
            : (stream.read(Math.min(stream.readableLength, largestInput)) as Buffer | null);
        if (chunk !== null) return chunk;
        if (ended) return undefined;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    },
  };
}
