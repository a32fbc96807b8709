import type { Out } from "../../src/ui/out.ts";

/** An `Out` that keeps what is written; `hold(true)` makes it full until `hold(false)`. */
export interface MemoryOut extends Out {
  text(): string;
  bytes(): Buffer;
  writes(): readonly Buffer[];
  overlays(): readonly (string | undefined)[];
  hold(full: boolean): void;
}

export function memoryOut(tty = false): MemoryOut {
  const writes: Buffer[] = [];
  const overlays: (string | undefined)[] = [];
  let full = false;
  const waiting: (() => void)[] = [];
  let ours = tty;
  return {
    get tty() {
      return ours;
    },
    asTerminal: () => {
      ours = true;
    },
    release: () => {
      ours = false;
    },
    write: (text) => {
      writes.push(Buffer.from(text));
      return !full;
    },
    overlay: (text) => void overlays.push(text),
    drained: () => (full ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve()),
    flush: () => Promise.resolve(),
    bytes: () => Buffer.concat(writes),
    text: () => Buffer.concat(writes).toString(),
    writes: () => writes,
    overlays: () => overlays,
    hold: (next) => {
      full = next;
      if (!full) for (const resolve of waiting.splice(0)) resolve();
    },
  };
}
