import { randomBytes } from "node:crypto";
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestModule } from "vitest/node";
import { seenVariable } from "./covers.ts";
import { differences, readTable, wantedCells, withTable, type Seen } from "./features.ts";

const page = fileURLToPath(new URL("../../docs/batch/README.md", import.meta.url));

/**
 * Has the tests of this run write what they see of batch systems into a file of the run's own, whose path is told, or
 * into the one that it shares with what runs beside it (scripts/test); the first of them makes it.
 */
export function collectSeen(): string {
  const shared = process.env[seenVariable];
  if (shared !== undefined) return shared;
  const path = join(tmpdir(), `tsdask-seen-${randomBytes(8).toString("hex")}`);
  process.env[seenVariable] = path;
  return path;
}

/**
 * What docs/batch/README.md says otherwise than these tests ran, a sentence each, after its table was rewritten where
 * that is wanted (`vitest run -u`). Cells that the run left out are not looked at. `beside` are the files whose tests
 * passed in the run beside this one. Removes the file of what was seen.
 */
export function tableTrouble(
  path: string,
  modules: readonly TestModule[],
  {
    beside,
    rewrite,
    leftOut,
  }: { readonly beside: readonly string[]; readonly rewrite: boolean; readonly leftOut: boolean },
): readonly string[] {
  const lines = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
  rmSync(path, { force: true });
  const seen = lines.map((line) => JSON.parse(line) as Seen);
  const text = readFileSync(page, "utf8");
  const before = readTable(text);
  const wanted = wantedCells(before, seen, { all: !leftOut && ranAll(modules, beside) });
  if (rewrite) {
    writeFileSync(page, withTable(text, wanted));
    return [];
  }
  return differences(before, wanted);
}

/** Whether every test passed of all files in which one says what it covers. */
function ranAll(modules: readonly TestModule[], beside: readonly string[]): boolean {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const files = globSync("**/*.test.ts", { cwd: root })
    .map((name) => join(root, name))
    .filter((file) => /\bcovers\(/.test(readFileSync(file, "utf8")));
  return files.every((file) => {
    const module = modules.find(({ moduleId }) => moduleId === file);
    if (module === undefined) return beside.includes(file);
    return [...module.children.allTests()].every((test) => test.result().state === "passed");
  });
}
