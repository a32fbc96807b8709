import { expect, test } from "vitest";
import { isSecondSignal } from "../../src/launcher/signals.ts";

test.each([
  ["SIGINT", 100, false, false],
  ["SIGINT", 400, false, true],
  // The built-in launcher may be late with the first one, and says itself when there was a second.
  ["SIGINT", 400, true, false],
  ["SIGINT", 60_000, true, false],
  ["SIGTERM", 100, true, false],
  ["SIGTERM", 400, true, true],
])(
  "a %s %i ms after the first signal, counted by the launcher: %s, is a second one: %s",
  (name, after, counted, is) => {
    expect(isSecondSignal(name, after, counted)).toBe(is);
  },
);
