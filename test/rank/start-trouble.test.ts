import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { ChildFailure } from "../../src/protocol/fork-server.ts";
import { startTrouble } from "../../src/rank/start-trouble.ts";

it("has a cause of its own for each word that Python has for why a scheduler did not start", () => {
  const python = readFileSync(join(import.meta.dirname, "../../python/tsdask_mpi/failures.py"), "utf8");
  const words = [...python.matchAll(/return "(\w+)"/g)]
    .map(([, word = ""]) => word)
    .filter((word) => word !== "refused" && word !== "other");
  expect(words.length).toBeGreaterThan(4);
  const causes = words.map((word) => startTrouble(word as ChildFailure).cause);
  expect(new Set([...causes, startTrouble("other").cause]).size).toBe(words.length + 1);
  expect(startTrouble(undefined)).toEqual(startTrouble("other"));
  expect(startTrouble(undefined, 9).cause).toContain("for want of memory");
  expect(startTrouble("import", 9)).toEqual(startTrouble("import"));
});
