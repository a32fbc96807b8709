import { setTimeout as sleep } from "node:timers/promises";

const enter = "\u001b[?1049h\u001b[?25l";
const leave = "\u001b[?25h\u001b[?1049l";
const home = "\u001b[H";
const clearLine = "\u001b[K";
const clearRest = "\u001b[J";

/** What is said when there is nothing to watch any more. */
export interface LastLines {
  readonly last: readonly string[];
}

/**
 * Shows lines again and again until q, Ctrl-C or a signal: on a terminal as `top` does, on the whole screen, which is
 * then as it was; elsewhere one block after the other. A look that fails is shown in place of the lines, and tried
 * again; one whose lines are the last ends it, and they stay. Resolves to the exit code: 0 for q, Ctrl-C and the last
 * lines, 128 + n for signals.
 */
export async function watchScreen(
  look: () => Promise<readonly string[] | LastLines>,
  { every, write }: { readonly every: number; readonly write: (text: string) => unknown },
): Promise<number> {
  const { stdin, stdout } = process;
  const screen = stdout.isTTY === true;
  const ended = new AbortController();
  let code = 0;
  let shown: readonly string[] = [];
  let last: readonly string[] = [];
  const end = (with_: number): void => {
    code = with_;
    ended.abort();
  };
  const draw = (): void => {
    // A terminal without a size (a serial console, `docker exec -t`) says 0.
    const [columns, rows] = [stdout.columns || 80, stdout.rows || 24];
    const fitting = shown.slice(0, rows - 1).map((line) => `${line.slice(0, columns)}${clearLine}`);
    write(`${home}${fitting.join("\r\n")}\r\n${clearRest}`);
  };
  const onKeys = (keys: Buffer): void => {
    if (/[qQ\u0003\u001b]/.test(keys.toString("latin1"))) end(0);
  };
  const onTerm = (): void => end(143);
  const onHup = (): void => end(129);
  const onInt = (): void => end(130);
  process.on("SIGTERM", onTerm).on("SIGHUP", onHup).on("SIGINT", onInt);
  if (screen) {
    write(enter);
    stdout.on("resize", draw);
    if (stdin.isTTY) stdin.setRawMode(true).on("data", onKeys).resume();
  }
  try {
    while (!ended.signal.aborted) {
      const seen = await look().catch((error: unknown) => [
        error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error),
      ]);
      if (ended.signal.aborted) break;
      if ("last" in seen) {
        ({ last } = seen);
        break;
      }
      shown = seen;
      if (screen) draw();
      else write(`${shown.join("\n")}\n\n`);
      await sleep(every, undefined, { signal: ended.signal }).catch(() => undefined);
    }
  } finally {
    process.off("SIGTERM", onTerm).off("SIGHUP", onHup).off("SIGINT", onInt);
    if (screen) {
      stdout.off("resize", draw);
      if (stdin.isTTY) stdin.setRawMode(false).off("data", onKeys).pause();
      write(leave);
    }
  }
  if (last.length > 0) write(`${last.join("\n")}\n`);
  return code;
}
