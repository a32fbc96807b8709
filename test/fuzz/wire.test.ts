import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runsOr, seed } from "./fuzz.ts";

const runs = runsOr(2_000);

test("the fork server's wire ends in a message, a named fault or Malformed, whatever comes", {
  timeout: 100_000 + runs * 20,
}, () => {
  const said = execFileSync("python3", [join(import.meta.dirname, "wire.py"), String(seed), String(runs)], {
    encoding: "utf8",
    timeout: 100_000 + runs * 20,
  });
  expect(said).toBe(`held ${runs}\n`);
});
