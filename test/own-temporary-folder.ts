import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll } from "vitest";

/** Processes that a test has ended may still be removing what is theirs (ms). */
const settles = 20_000;

/**
 * Gives each test file a temporary folder of its own, and fails the file when something is left in it. Integration
 * tests have the bed's judge instead, for each test (`nothingLeft`).
 */
const before = process.env["TMPDIR"];
const folder = mkdtempSync(join(tmpdir(), "tsd-"));
process.env["TMPDIR"] = folder;
// Some tests have another user look into a folder of theirs.
chmodSync(folder, 0o711);
// A fork server that leaves removes the folder above its own when that is empty.
const keeps = "keeps-this-folder";
writeFileSync(join(folder, keeps), "");

const left = (): readonly string[] => readdirSync(folder).filter((name) => name !== keeps);

// Hooks run in reverse order: after those with which the file removes what is its own.
afterAll(async () => {
  if (before === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = before;
  for (const end = performance.now() + settles; left().length > 0 && performance.now() < end; ) await sleep(20);
  const found = left();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  if (found.length > 0) throw new Error(`Left in the temporary folder: ${found.join(", ")}`);
});
