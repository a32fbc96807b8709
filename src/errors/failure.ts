import { messages, type MessageCode } from "./messages.ts";
import { visible } from "./visible.ts";

/** What a message's text may name: plain words and numbers, never a secret. */
export type Facts = Readonly<Record<string, string | number | undefined>>;

/**
 * A failure a user can meet: a stable code, the facts that fill its message, and the exit code that goes with it.
 * The text itself lives in `messages.ts`, next to its code.
 */
export class Failure extends Error {
  readonly code: MessageCode;
  readonly facts: Facts;
  readonly exitCode: number;

  constructor(code: MessageCode, facts: Facts = {}, options?: { cause?: unknown; exitCode?: number }) {
    super(render(code, facts), options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Failure";
    this.code = code;
    this.facts = facts;
    this.exitCode = options?.exitCode ?? messages[code].exit;
  }
}

/** The message of a code as people read it: what failed, the likely cause, the cure, and the code (one line each). */
export function render(code: MessageCode, facts: Facts): string {
  const { what, cause, cure } = messages[code];
  const fill = (text: string): string =>
    text.replace(/\{(\w+)\}/g, (_, name: string) => visible(String(facts[name] ?? "?")));
  return [`${code} ${fill(what)}`, `  cause: ${fill(cause)}`, `  cure:  ${fill(cure)}`].join("\n");
}
