import type { Given, Ran, Shell } from "../../src/batch/system.ts";

/** A command that was asked for: its name with all arguments, and what it was given. */
export interface Asked extends Given {
  readonly line: string;
}

/**
 * A shell whose commands answer what was recorded: the first pattern that the line matches; everything asked is kept.
 */
export function recordedShell(
  answers: readonly (readonly [line: RegExp, answer: Partial<Ran>])[],
  { env = {}, now = 1_000_000 }: { readonly env?: NodeJS.ProcessEnv; readonly now?: number } = {},
): Shell & { readonly asked: readonly Asked[] } {
  const asked: Asked[] = [];
  return {
    env,
    now: () => now,
    asked,
    run: async (command, args, given = {}) => {
      const line = [command, ...args].join(" ");
      asked.push({ line, ...given });
      const answer = answers.find(([pattern]) => pattern.test(line))?.[1];
      if (answer === undefined) throw new Error(`no answer is recorded for: ${line}`);
      return { code: 0, stdout: "", stderr: "", ...answer };
    },
  };
}
