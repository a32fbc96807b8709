import { createInterface } from "node:readline/promises";

/** Questions on the terminal, one after the other. */
export interface Prompt {
  /** What is typed; undefined for Ctrl-C, and at the end of the input. */
  readonly ask: (text: string) => Promise<string | undefined>;
  readonly close: () => void;
}

/** Asks on stderr, reads from stdin; `signal` is as Ctrl-C. */
export function openPrompt(signal: AbortSignal): Prompt {
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const over = new AbortController();
  signal.addEventListener("abort", () => over.abort());
  asking.once("SIGINT", () => over.abort()).once("close", () => over.abort());
  return {
    ask: async (text) => {
      try {
        return await asking.question(text, { signal: over.signal });
      } catch (error) {
        if (!over.signal.aborted) throw error;
        process.stderr.write("\n");
        return undefined;
      }
    },
    close: () => asking.close(),
  };
}
