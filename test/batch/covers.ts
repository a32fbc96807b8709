import { appendFileSync } from "node:fs";
import type { Feature, Seen, SystemName } from "./features.ts";

/**
 * Names the file that the run's tests write what they have seen into, a line of JSON each; set by the run's reporter.
 */
export const seenVariable = "TSDASK_TESTS_SEEN";

/**
 * Said by a test once it has seen a feature work under a batch system: `version` is what the real one's own daemon
 * said, nothing where the system's commands, answers or environment were recorded ones. The table in
 * docs/batch/README.md follows from it.
 */
export function covers(system: SystemName, seen: readonly Feature[], version?: string): void {
  const path = process.env[seenVariable];
  if (path === undefined) return;
  const lines = seen.map((feature): Seen => ({ system, feature, ...(version === undefined ? {} : { version }) }));
  appendFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""), { mode: 0o600 });
}
