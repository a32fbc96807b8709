import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { isPath } from "../../src/registry/target.ts";

const folder = mkdtempSync(join(tmpdir(), "tsdask-target-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a word is a path by its form or a file of that name; what cannot be looked at is none", () => {
  writeFileSync(join(folder, "cluster"), "");
  // In a circle: the system refuses to look, as in a folder that may not be entered.
  symlinkSync("circle", join(folder, "circle"));
  const words = ["a/b", "x.json", "cluster", "nightly", "circle"];
  expect(words.map((word) => isPath(word, folder))).toEqual([true, true, true, false, false]);
});
