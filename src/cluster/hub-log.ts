import { logTo, openLog, type Log, type LogRecord } from "../ui/log.ts";

/** The log is opened this long (ms) after the start, when nothing else is in a hurry; what came before waits for it. */
const openAfter = 1_500;
/** Records that may wait; a launch has a few per rank by then. */
const mostWaiting = 100_000;

/**
 * The launch's log of JSON lines, `<folder>/<name>.jsonl`. It is opened a little later than the launch, because loading the
 * logger would cost the start; a log that cannot be opened is no reason to stop (`onProblem` is told).
 */
export function hubLog({
  folder,
  name,
  base,
  onProblem,
}: {
  readonly folder: string;
  readonly name: string;
  readonly base: Readonly<Record<string, unknown>>;
  readonly onProblem: (problem: string) => void;
}): Log {
  let waiting: LogRecord[] = [];
  let log: Log | undefined;
  let closed = false;
  const open = async (): Promise<void> => {
    try {
      const opened = await openLog({ folder, name, base });
      if (closed) {
        opened.close();
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
  const timer = setTimeout(() => void open(), openAfter);
  timer.unref();
  return logTo(
    (record) => {
      if (log) log.record(record);
      else if (waiting.length < mostWaiting)
        waiting.push({ ...record, data: { ...record.data, at: new Date().toISOString() } });
    },
    "info",
    () => {
      closed = true;
      clearTimeout(timer);
      log?.close();
    },
  );
}
