import { said } from "./banner.ts";
import { durationText } from "./format.ts";
import type { Out } from "./out.ts";
import { count } from "./ranges.ts";
import { terminalBehind } from "./terminal.ts";

/** How many workers have registered, of how many, and (when known) who is missing: `rank 3 on h1`. */
export interface WorkerCount {
  readonly registered: number;
  readonly expected: number;
  readonly missing?: readonly string[];
  /** What they have together, said when all are in: `12 threads, 20 GiB`. */
  readonly together?: string;
}

export interface Progress {
  /** Tells the present state; cheap enough for every event. */
  update(state: WorkerCount): void;
  /** Removes the bar, or stops the lines: all are in, or nobody waits any more. Safe to call twice. */
  stop(): void;
}

const reminderMs = 10_000;
const leastGapMs = 1_000;
const namesShown = 6;

/**
 * Shows how the workers come in: a bar where `out` is a terminal that is ours alone, else a line at the first, at each
 * quarter, at the last, and every 10 s with who is missing. `started` and `now` are milliseconds of one clock
 * (`performance.now()`).
 */
export function workerProgress({
  out,
  started,
  now = () => performance.now(),
  write = (text) => void out.write(text),
  behind = terminalBehind,
}: {
  readonly out: Out;
  readonly started: number;
  readonly now?: () => number;
  /** Where lines go; the default is `out`. */
  readonly write?: (text: string) => void;
  /** Whether a terminal is behind the launcher. */
  readonly behind?: (own: { own: boolean }) => boolean;
}): Progress {
  if (!out.tty && behind({ own: false })) out.asTerminal();
  let state: WorkerCount | undefined;
  let format: Formatter | undefined;
  let quarter = 0;
  let lastLine = -Infinity;
  let stopped = false;

  const say = (text: string, more = ""): void => {
    lastLine = now();
    write(said(`${text} after ${durationText((lastLine - started) / 1000)}${more}`));
  };
  const draw = (): void => {
    if (format !== undefined && state !== undefined) out.overlay(format(state, now() - started));
  };
  const remind = (): void => {
    if (state === undefined || stopped) return;
    if (out.tty) draw();
    else if (now() - Math.max(lastLine, started) >= reminderMs) say(`${countText(state)}${missingText(state)}`);
  };
  const timer = setInterval(remind, 1_000);
  timer.unref();
  if (out.tty) {
    const ready = (loaded: Formatter): void => {
      format = loaded;
      if (!stopped) draw();
    };
    loadFormatter().then(ready, () => ready(plain));
  }

  const stop = (): void => {
    stopped = true;
    clearInterval(timer);
    out.overlay(undefined);
  };
  return {
    stop,
    update: (next) => {
      if (stopped || next.expected <= 0) return;
      state = next;
      const { registered, expected } = next;
      if (registered >= expected) {
        stop();
        return say(allText(expected), next.together === undefined ? "" : `: ${next.together}`);
      }
      if (out.tty) return draw();
      const reached = registered === 0 ? 0 : 1 + Math.floor((4 * registered) / expected);
      if (reached <= quarter || now() - lastLine < leastGapMs) return;
      quarter = reached;
      say(countText(next));
    },
  };
}

/** The line that a count is told by: `4 of 15 workers are in`. */
function countText({ registered, expected }: WorkerCount): string {
  return `${registered} of ${count(expected, "worker")} ${registered === 1 ? "is" : "are"} in`;
}

/** Who is missing, at most a few by name: `; missing: rank 3 on h1, rank 4 on h1 and 12 more`. */
function missingText({ missing = [] }: WorkerCount): string {
  if (missing.length === 0) return "";
  const more = missing.length - namesShown;
  return `; missing: ${missing.slice(0, namesShown).join(", ")}${more > 0 ? ` and ${more} more` : ""};`;
}

function allText(expected: number): string {
  return expected === 1 ? "the worker is in" : `all ${expected} workers are in`;
}

type Formatter = (value: WorkerCount, milliseconds: number) => string;

const plain: Formatter = (state, milliseconds) =>
  `tsdask-mpi: ${countText(state)}, ${durationText(milliseconds / 1000)}`;
const barSize = 24;

/**
 * cli-progress draws the bar; where it stands on the terminal is `out`'s business, so that other text never runs into
 * it.
 */
async function loadFormatter(): Promise<Formatter> {
  const { BarFormat } = (await import("cli-progress")).default.Format;
  const shape = {
    barsize: barSize,
    barCompleteString: "#".repeat(barSize),
    barIncompleteString: "-".repeat(barSize),
    barGlue: "",
  };
  return (state, milliseconds) => {
    const done = BarFormat(Math.min(1, state.registered / Math.max(1, state.expected)), shape);
    return `tsdask-mpi: [${done}] ${countText(state)}, ${durationText(milliseconds / 1000)}`;
  };
}
