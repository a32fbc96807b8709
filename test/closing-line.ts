import { existsSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import type { Reporter, TestModule } from "vitest/node";
import { collectSeen, tableTrouble } from "./batch/table.ts";
import { leftOut } from "./integration/bed/inventory.ts";

/**
 * Ends a run with what was left out on this machine, with what the table of batch systems says otherwise than the tests
 * ran, which is a failure, and with the one line that a CI reads: "N passed, N failed".
 */
export function closingLine(): Reporter {
  let seen = "";
  let rewrite = false;
  return {
    onInit(vitest) {
      seen = collectSeen();
      rewrite = vitest.config.snapshotOptions.updateSnapshot === "all";
    },
    async onTestRunEnd(modules, unhandled) {
      const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state));
      const passed = states.filter((state) => state === "passed").length;
      // A file that cannot be loaded and an error outside of all tests are failures too.
      const broken = modules.filter((module) => module.state() === "failed" && module.errors().length > 0).length;
      const failed = states.filter((state) => state === "failed").length + broken + unhandled.length;
      const beside = await ranBeside(process.env["TSDASK_TESTS_BESIDE"]);
      const missing = leftOut();
      const trouble = tableTrouble(seen, modules, { beside: beside.files, rewrite, leftOut: missing.length > 0 });
      if (trouble.length > 0) process.exitCode = 1;
      const lines = [
        ...listed("Left out on this machine:", missing),
        ...listed("docs/batch/README.md does not say what these tests ran (`vitest run -u` writes it):", trouble),
        ...listed("Failed:", [...modules.flatMap(failedOf), ...unhandled.map(strayOf), ...beside.failures]),
      ];
      const failures = failed + beside.failed + (trouble.length > 0 ? 1 : 0);
      process.stdout.write(`\n${[...lines, `${passed + beside.passed} passed, ${failures} failed`].join("\n")}\n`);
    },
  };
}

const listed = (title: string, lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`), ""];

/** The failed tests of a file, and what else went wrong in it, with the first line of each error. */
const failedOf = (module: TestModule): readonly string[] => [
  ...module.errors().map(({ message }) => failure(module.moduleId, "the file", message)),
  ...[...module.children.allTests("failed")].map((test) =>
    failure(module.moduleId, test.fullName, test.result().errors?.[0]?.message),
  ),
];

const strayOf = ({ message }: { readonly message: string }) => failure("", "outside of all tests", message);

const failure = (file: string, test: string, message = ""): string =>
  `${[...(file === "" ? [] : [relative(process.cwd(), file)]), test.replaceAll("\n", " ")].join(" > ")}: ${stripVTControlCharacters(message).split("\n")[0] ?? ""}`;

/**
 * What runs beside (scripts/test) has ended this long (ms) after the other tests, or counts as failed: its own tests
 * have deadlines.
 */
const patience = 1_200_000;

interface Beside {
  readonly passed: number;
  readonly failed: number;
  /** Those whose tests all passed. */
  readonly files: readonly string[];
  /** What failed, a line each. */
  readonly failures: readonly string[];
}

/** What is read of vitest's JSON report. */
interface BesideReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[] | null;
    }[];
  }[];
}

/** How the tests ended that ran beside these, from the files in that folder; what failed of them is shown. */
async function ranBeside(folder: string | undefined): Promise<Beside> {
  if (folder === undefined) return { passed: 0, failed: 0, files: [], failures: [] };
  const until = performance.now() + patience;
  while (!existsSync(`${folder}/beside.code`) && performance.now() < until) await pause(200);
  const ended = existsSync(`${folder}/beside.code`) && readFileSync(`${folder}/beside.code`, "utf8").trim() === "0";
  if (!ended) process.stdout.write(`\n${fromFailures(readFileSync(`${folder}/beside.out`, "utf8"))}\n`);
  if (!existsSync(`${folder}/beside.json`)) {
    return { passed: 0, failed: 1, files: [], failures: ["the tests that run beside these ended without a report"] };
  }
  const report = JSON.parse(readFileSync(`${folder}/beside.json`, "utf8")) as BesideReport;
  const { numPassedTests: passed, numFailedTests: failed, testResults } = report;
  const whole = testResults.filter(({ assertionResults }) =>
    assertionResults.every(({ status }) => status === "passed"),
  );
  return {
    passed,
    failed: ended ? failed : Math.max(failed, 1),
    files: whole.map(({ name }) => name),
    failures: testResults.flatMap(failedBeside),
  };
}

/** As `failedOf`, of a file in vitest's JSON report. */
const failedBeside = ({ name, status, message, assertionResults }: BesideReport["testResults"][number]) => {
  const failures = assertionResults
    .filter((test) => test.status === "failed")
    .map((test) => failure(name, test.fullName, test.failureMessages?.[0]));
  return status === "failed" && failures.length === 0 ? [failure(name, "the file", message)] : failures;
};

/** What vitest prints of failures and stray errors, which ends its output; all of it where it got no further. */
function fromFailures(output: string): string {
  const start = output.split("\n").findIndex((line) => /⎯ (?:Failed|Unhandled)/u.test(stripVTControlCharacters(line)));
  return start < 0 ? output : output.split("\n").slice(start).join("\n");
}
