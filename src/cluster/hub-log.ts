import { join } from "node:path";
import { makeStateFolder, statePaths } from "../registry/place.ts";
import { logTo, openLog, type Log, type LogRecord } from "../ui/log.ts";

/** The log is opened this long (ms) after the start, when nothing else is in a hurry; what came before waits for it. */
const openAfter = 1_500;
/** Records that may wait; a launch has a few per rank by then. */
const mostWaiting = 100_000;

/** The most text (characters) that one launch's log takes: 20 MB say what happened, and a home folder has a quota. */
const mostText = 20_000_000;

/**
 * The launch's log, and how to have it on disk before its usual time: for a launch that ends badly in its first
 * moments.
 */
export type HubLog = Log & { readonly keep?: () => Promise<void> };

/**
 * The folder that keeps the log of a launch for a week, in the user's state folder; `otherwise` where that cannot be
 * written.
 */
export function keptLogFolder({
  env,
  launch,
  otherwise,
}: {
  readonly env: NodeJS.ProcessEnv;
  readonly launch: string;
  readonly otherwise: string;
}): string {
  const { logs } = statePaths(env);
  try {
    makeStateFolder(logs);
    return join(logs, launch);
  } catch {
    // The register has told of it.
    return otherwise;
  }
}

/**
 * The launch's log of JSON lines, `<folder>/<name>.jsonl`. It is opened a little later than the launch, because loading
 * the logger would cost the start; a log that cannot be opened is no reason to stop (`onProblem` is told).
 */
export function hubLog({
  folder,
  name,
  base,
  onProblem,
}: {
  readonly folder: () => string;
  readonly name: string;
  readonly base: Readonly<Record<string, unknown>>;
  readonly onProblem: (problem: string) => void;
}): HubLog {
  let waiting: LogRecord[] = [];
  let log: Log | undefined;
  let closed = false;
  let opening: Promise<void> | undefined;
  let room = mostText;
  const open = async (): Promise<void> => {
    try {
      const opened = await openLog({ folder: folder(), name, base });
      if (closed) {
        await opened.close();
        return;
      }
      log = opened;
      for (const record of waiting.splice(0)) log.record(record);
    } catch (error) {
      waiting = [];
      // A launch that has ended meanwhile has taken its folder away.
      if (closed) return;
      onProblem(error instanceof Error ? error.message : String(error));
    }
  };
  const openOnce = (): Promise<void> => (opening ??= open());
  const timer = setTimeout(() => void openOnce(), openAfter);
  timer.unref();
  const logger = logTo(
    (given) => {
      if (room < 0) return;
      room -= given.event.length + 150;
      const record =
        room < 0 ? { level: "warn" as const, event: "the log is full: what comes now is not kept" } : given;
      if (log) log.record(record);
      else if (waiting.length < mostWaiting)
        waiting.push({ ...record, data: { ...record.data, at: new Date().toISOString() } });
    },
    "info",
    async () => {
      closed = true;
      clearTimeout(timer);
      await log?.close();
    },
  );
  return { ...logger, keep: openOnce };
}
