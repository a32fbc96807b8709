import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { Failure } from "../errors/failure.ts";
import { systemCode, unwritable } from "../security/file-problems.ts";
import { makeFolder } from "../security/private-files.ts";
import { appendTo, type Appended } from "./append.ts";
import { redact } from "./redact.ts";

/** Levels of the log files (pino's names). */
export const recordLevels = ["trace", "debug", "info", "warn", "error"] as const;
export type RecordLevel = (typeof recordLevels)[number];

/** What a record carries besides its text: JSON values; keys that name secrets are hidden before they are written. */
export type LogData = Readonly<Record<string, unknown>>;

/** One record, as it travels from a follower to its host's leader. */
export interface LogRecord {
  readonly level: RecordLevel;
  readonly event: string;
  readonly data?: LogData;
}

/** Structured records for machines; `event` is a short sentence, the same for every occurrence. */
export interface Log {
  readonly record: (record: LogRecord) => void;
  readonly debug: (event: string, data?: LogData) => void;
  readonly info: (event: string, data?: LogData) => void;
  readonly warn: (event: string, data?: LogData) => void;
  readonly error: (event: string, data?: LogData) => void;
  /** Everything is on disk when it resolves, where that can be; later records are dropped. Never rejects. */
  readonly close: () => Promise<void>;
}

/**
 * A log that hands its records (at `level` and above) to `send`: how a follower logs through its leader, without
 * loading pino.
 */
export function logTo(
  send: (record: LogRecord) => void,
  level: RecordLevel = "info",
  close: () => Promise<void> = async () => undefined,
): Log {
  const least = recordLevels.indexOf(level);
  let closing: Promise<void> | undefined;
  const record = (entry: LogRecord): void => {
    if (closing === undefined && recordLevels.indexOf(entry.level) >= least) send(entry);
  };
  const at = (name: RecordLevel) => (event: string, data?: LogData) =>
    record(data === undefined ? { level: name, event } : { level: name, event, data });
  return {
    record,
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    close: () => (closing ??= close()),
  };
}

/** A log that keeps nothing. */
export const silentLog: Log = logTo(() => undefined, "error");

/**
 * Opens `<folder>/<name>.jsonl` (mode 0600, appended) for one process. Loads pino on first use.
 * Each record is on its way when the call returns, and at the process's exit the last ones are written, so that those
 * before a crash are there. A disk that hangs holds nobody up; one that is full or has vanished ends the log, not the
 * launch. The folder is made if it is not there. Throws TSD-072 when the folder or the file
 * cannot be had, TSD-123 when what lies there is not ours.
 */
export async function openLog({
  folder,
  name,
  level = "info",
  base = {},
}: {
  readonly folder: string;
  readonly name: string;
  readonly level?: RecordLevel;
  /** Fields of every record: rank, host, launch. */
  readonly base?: LogData;
}): Promise<Log> {
  const path = `${folder}/${name}.jsonl`;
  try {
    // Before anything is awaited: whoever removes the folder meanwhile must not find it made again.
    makeFolder(folder);
  } catch (error) {
    throw unwritable(path, error);
  }
  const { default: pino } = await import("pino");
  let file: Appended;
  try {
    file = appendTo(openOwn(path));
  } catch (error) {
    throw unwritable(path, error);
  }
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, { write: file.append });
  const write = ({ level: at, event, data }: LogRecord): void =>
    logger[at]((redact({ ...base, ...data }) ?? {}) as object, event);
  return logTo(write, level, file.close);
}

/**
 * The descriptor of a log that is ours, new or to be continued. In a folder where others may write, a link or a second
 * name would lead our lines into another file, and a pipe would hold the launch up. Throws TSD-123 for these.
 */
function openOwn(path: string): number {
  const refused = (problem: string): Failure => new Failure("TSD-123", { path, problem });
  let fd: number;
  try {
    fd = openSync(
      path,
      constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      0o600,
    );
  } catch (error) {
    const code = systemCode(error);
    if (code === "ELOOP") throw refused("it is a symbolic link");
    if (code === "ENXIO") throw refused("it is not a plain file");
    throw error;
  }
  const { uid, nlink, ...found } = fstatSync(fd);
  const plain = (found.mode & constants.S_IFMT) === constants.S_IFREG;
  const problem = !plain
    ? "it is not a plain file"
    : uid !== process.geteuid?.()
      ? `it belongs to another user (uid ${uid})`
      : nlink > 1
        ? "it has a second name"
        : undefined;
  if (problem === undefined) return fd;
  closeSync(fd);
  throw refused(problem);
}
