import type { RankEvent } from "../protocol/messages.ts";

/**
 * Lines that a rank's child may say at once, and each second after that, for the log that is kept: a thousand ranks
 * share one file.
 */
const burst = 200;
const perSecond = 5;
/** Characters of a line that are kept. */
const longest = 1_000;

type Note = Extract<RankEvent, { k: "note" }>;

/**
 * Hands the lines that a child says to the launch's log, no more than it can take; how many were left out is told with
 * the next one.
 */
export function keepOutput(
  report: (event: Note) => void,
  now: () => number = () => performance.now(),
): (line: Buffer) => void {
  let room = burst;
  let last = now();
  let left = 0;
  const note = (level: Note["level"], text: string): void => report({ k: "note", level, text, child: true });
  return (line) => {
    const at = now();
    room = Math.min(burst, room + ((at - last) / 1000) * perSecond);
    last = at;
    if (room < 1) {
      left += 1;
      return;
    }
    room -= 1;
    if (left > 0) note("warn", `${left} lines were left out: there were too many at once`);
    left = 0;
    const text = line.subarray(0, longest).toString("utf8");
    if (text.trim() !== "") note(levelOf(text), text);
  };
}

/** The level that a line of Dask's log names; `info` for any other. */
function levelOf(text: string): Note["level"] {
  const [, level] = / - (DEBUG|INFO|WARNING|ERROR|CRITICAL) - /.exec(text.slice(0, 200)) ?? [];
  if (level === "DEBUG") return "debug";
  if (level === "WARNING") return "warn";
  return level === "ERROR" || level === "CRITICAL" ? "error" : "info";
}
