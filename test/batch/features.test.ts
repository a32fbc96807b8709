import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { which } from "../integration/bed/command.ts";
import { systems, table } from "./features.ts";

const text = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

const evidence = systems.flatMap(({ name, features }) =>
  Object.entries(features).flatMap(([feature, one]) => ("test" in one ? [[name, feature, one.kind, one.test]] : [])),
);

it.each(evidence)("%s, %s: the test that it was %s by is there", (_, __, kind, test) => {
  const [file = "", title = ""] = test.split(" › ");
  const titles = [...text(file).matchAll(/"([^"\n]+)",\s*(?:async\s*)?\(/g)].map(([, one = ""]) => one);
  expect(titles.filter((one) => one.startsWith(title))).not.toEqual([]);
  // What runs for real is asked whether it is there, in the file that runs it.
  if (kind === "run") expect(text(file)).toMatch(/describe\.runIf\(\w+Available\(\) === true\)/);
});

it("docs/batch/README.md has the table of what the tests run", () => {
  expect(text("docs/batch/README.md")).toContain(`\n${table()}\n`);
});

const slurmctld = which("slurmctld");

it.runIf(slurmctld !== undefined)("the version of Slurm that the tests run is the one in the table", () => {
  const version = execFileSync(slurmctld ?? "", ["-V"], { encoding: "utf8" })
    .trim()
    .split(" ")[1];
  expect(systems.find(({ name }) => name === "Slurm")?.version).toBe(version);
});
