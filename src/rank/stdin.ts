import { closeSync, constants, openSync, readlinkSync, unlinkSync } from "node:fs";
import { Socket } from "node:net";
import { dirname, join } from "node:path";
import type { ClientStart, RankEvent } from "../protocol/messages.ts";
import { makePipes } from "../security/pipes.ts";

/**
 * The script's standard input where its rank has none of its own: rank 0 reads it, piece by piece, as the script takes
 * it.
 */
export interface RelayedInput {
  /** The descriptor that the script inherits. */
  readonly fd: number;
  /** The script has it (or did not start): closes this process's copy, and asks for the first piece. */
  readonly started: () => void;
  /** Takes a piece of the input (base64), or its end. */
  readonly take: (data: string | null) => void;
  readonly close: () => void;
}

/**
 * Whether the script of this rank gets rank 0's standard input: its own is none (Open MPI), or one that nobody writes
 * to (Hydra).
 */
export function needsRelay(stdin: ClientStart["stdin"]): boolean {
  if (stdin === "relay-if-null") return readlinkSync("/proc/self/fd/0").startsWith("/dev/null");
  return stdin === "relay";
}

/**
 * Makes the pipe from which the script reads: a named one, at once nameless again, since Node's own are sockets, which
 * cannot be opened as /dev/stdin. `folder` is the host's private one. The next piece is asked for when the pipe has
 * taken the last, so that no more than two are on the way.
 */
export async function relayedInput({
  watchdogSocket,
  report,
}: {
  readonly watchdogSocket: string;
  readonly report: (event: RankEvent) => void;
}): Promise<RelayedInput> {
  const path = join(dirname(watchdogSocket), `stdin-${process.pid}`);
  await makePipes(path);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const pipe = new Socket({
    fd: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK),
    readable: false,
    writable: true,
  });
  unlinkSync(path);
  // The script's end is one that waits, as a script expects it.
  const fd = openSync(`/proc/self/fd/${reader}`, constants.O_RDONLY);
  closeSync(reader);
  let over = false;
  const close = (): void => {
    over = true;
    pipe.destroy();
  };
  // A script that has closed its standard input, or has ended, wants no more.
  pipe.on("error", close).on("close", close);
  pipe.unref();
  return {
    fd,
    started: () => {
      closeSync(fd);
      report({ k: "stdin" });
    },
    take: (data) => {
      if (over) return;
      if (data === null) pipe.end();
      else
        pipe.write(Buffer.from(data, "base64"), (error) =>
          error == null && !over ? report({ k: "stdin" }) : undefined,
        );
    },
    close,
  };
}
