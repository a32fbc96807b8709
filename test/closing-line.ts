import type { Reporter } from "vitest/node";
import { leftOut } from "./integration/bed/inventory.ts";

/** Ends a run with what was left out on this machine, and with the one line that a CI reads: "N passed, N failed". */
export function closingLine(): Reporter {
  return {
    onTestRunEnd(modules, unhandled) {
      const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state));
      const passed = states.filter((state) => state === "passed").length;
      // A file that cannot be loaded and an error outside of all tests are failures too.
      const broken = modules.filter((module) => module.state() === "failed" && module.errors().length > 0).length;
      const failed = states.filter((state) => state === "failed").length + broken + unhandled.length;
      const missing = leftOut();
      const lines =
        missing.length === 0 ? [] : ["Left out on this machine:", ...missing.map((line) => `  ${line}`), ""];
      process.stdout.write(`\n${[...lines, `${passed} passed, ${failed} failed`].join("\n")}\n`);
    },
  };
}
