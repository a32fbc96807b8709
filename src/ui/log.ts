import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { Failure } from "../errors/failure.ts";
import { systemCode, unwritable } from "../security/file-problems.ts";
import { makeFolder } from "../security/private-files.ts";
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
  /** Everything is on disk when it returns; later records are dropped. */
  readonly close: () => void;
}

/**
 * A log that hands its records (at `level` and above) to `send`: how a follower logs through its leader, without
 * loading pino.
 */
export function logTo(
  send: (record: LogRecord) => void,
  level: RecordLevel = "info",
  close: () => void = () => undefined,
): Log {
  const least = recordLevels.indexOf(level);
  let open = true;
  const record = (entry: LogRecord): void => {
    if (open && recordLevels.indexOf(entry.level) >= least) send(entry);
  };
  const at = (name: RecordLevel) => (event: string, data?: LogData) =>
    record(data === undefined ? { level: name, event } : { level: name, event, data });
  return {
    record,
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    close: () => {
      if (!open) return;
      open = false;
      close();
    },
  };
}

/** A log that keeps nothing. */
export const silentLog: Log = logTo(() => undefined, "error");

/**
 * Opens `<folder>/<name>.jsonl` (mode 0600, appended) for one process. Loads pino on first use.
 * Each record is written before the call returns, so that the last one before a crash is there. A full or vanished disk
 * ends the log, not the launch. The folder is made if it is not there. Throws TSD-072 when the folder or the file
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
  let destination: ReturnType<typeof pino.destination>;
  try {
    destination = pino.destination({ dest: openOwn(path), sync: true });
  } catch (error) {
    throw unwritable(path, error);
  }
  let broken = false;
  destination.on("error", () => {
    broken = true;
  });
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  const write = ({ level: at, event, data }: LogRecord): void => {
    if (!broken) logger[at]((redact({ ...base, ...data }) ?? {}) as object, event);
  };
  return logTo(write, level, () => {
    broken = true;
    destination.end();
  });
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
