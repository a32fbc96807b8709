import { close, writeFile, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { deadlines } from "../deadlines.ts";
import { pauseFor } from "../timers.ts";

const writeAll = promisify(writeFile);
const closeFile = promisify(close);
/** So much text (characters) may wait for a file system that hangs; what comes then is lost. */
const mostWaiting = 20_000_000;

/** A file to which texts are appended in their order, while nobody waits for its file system. */
export interface Appended {
  readonly append: (text: string) => void;
  /** Resolves when all that was appended so far is written, or cannot be. Never rejects. */
  readonly written: () => Promise<void>;
  /** The same for the last of it, `deadlines.lastLines` at most, and closes the file. Never rejects. */
  readonly close: () => Promise<void>;
}

/**
 * Appends to an open file. One write is on its way at a time, beside the event loop: where a network's file system
 * stalls, whoever waited for it would be silent for as long, and be taken for lost. At the process's exit, an uncaught
 * exception's too, what waits is written at once. The first error, as of a full disk, ends it without a word.
 */
export function appendTo(fd: number): Appended {
  let waiting: string[] = [];
  let size = 0;
  let over = false;
  let writing: Promise<void> | undefined;
  const taken = (): string => {
    const text = waiting.join("");
    waiting = [];
    size = 0;
    return text;
  };
  const write = async (): Promise<void> => {
    try {
      while (waiting.length > 0) await writeAll(fd, taken());
    } catch {
      over = true;
      waiting = [];
    }
    writing = undefined;
  };
  const written = async (): Promise<void> => writing;
  const atExit = (): void => {
    try {
      if (waiting.length > 0) writeFileSync(fd, taken());
    } catch {
      // Nobody is left to be told.
    }
  };
  process.once("exit", atExit);
  const end = async (): Promise<void> => {
    await written();
    process.off("exit", atExit);
    // A network's file system tells at the close what it could not keep.
    await closeFile(fd).catch(() => undefined);
  };
  const endSoon = async (): Promise<void> => {
    over = true;
    const ended = new AbortController();
    await Promise.race([end(), pauseFor(deadlines.lastLines, ended.signal)]);
    ended.abort();
  };
  let closing: Promise<void> | undefined;
  return {
    append: (text) => {
      if (over || size + text.length > mostWaiting) return;
      waiting.push(text);
      size += text.length;
      writing ??= write();
    },
    written,
    close: () => (closing ??= endSoon()),
  };
}
