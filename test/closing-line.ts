import { existsSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Reporter } from "vitest/node";
import { leftOut } from "./integration/bed/inventory.ts";

/** Ends a run with what was left out on this machine, and with the one line that a CI reads: "N passed, N failed". */
export function closingLine(): Reporter {
  return {
    async onTestRunEnd(modules, unhandled) {
      const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state));
      const passed = states.filter((state) => state === "passed").length;
      // A file that cannot be loaded and an error outside of all tests are failures too.
      const broken = modules.filter((module) => module.state() === "failed" && module.errors().length > 0).length;
      const failed = states.filter((state) => state === "failed").length + broken + unhandled.length;
      const beside = await ranBeside(process.env["TSDASK_TESTS_BESIDE"]);
      const missing = leftOut();
      const lines =
        missing.length === 0 ? [] : ["Left out on this machine:", ...missing.map((line) => `  ${line}`), ""];
      process.stdout.write(
        `\n${[...lines, `${passed + beside.passed} passed, ${failed + beside.failed} failed`].join("\n")}\n`,
      );
    },
  };
}

/** What runs beside (scripts/test) has ended this long (ms) after the other tests, or counts as failed: its own tests have deadlines. */
const patience = 1_200_000;

/** How the tests ended that ran beside these, from the files in that folder; what failed of them is shown. */
async function ranBeside(folder: string | undefined): Promise<{ readonly passed: number; readonly failed: number }> {
  if (folder === undefined) return { passed: 0, failed: 0 };
  const until = performance.now() + patience;
  while (!existsSync(`${folder}/beside.code`) && performance.now() < until) await pause(200);
  const ended = existsSync(`${folder}/beside.code`) && readFileSync(`${folder}/beside.code`, "utf8").trim() === "0";
  if (!ended) process.stdout.write(`\n${readFileSync(`${folder}/beside.out`, "utf8")}\n`);
  if (!existsSync(`${folder}/beside.json`)) return { passed: 0, failed: 1 };
  const { numPassedTests: passed, numFailedTests: failed } = JSON.parse(
    readFileSync(`${folder}/beside.json`, "utf8"),
  ) as { readonly numPassedTests: number; readonly numFailedTests: number };
  return { passed, failed: ended ? failed : Math.max(failed, 1) };
}
