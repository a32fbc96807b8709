import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command, projectRoot } from "./bed/command.ts";
import { nothingLeft } from "./bed/left.ts";
import { python } from "./bed/pythons.ts";
import { run, tell } from "./bed/run.ts";
import { tsdask } from "./launch.ts";

const environment = { PYTHONPATH: join(projectRoot, "python"), PYTHONDONTWRITEBYTECODE: "1" };

/** Runs the examples of these modules, and prints of each how many failed, and whether any were run. */
const examples = (...modules: readonly string[]): string => `
import doctest, importlib
for name in ${JSON.stringify(modules)}:
    failed, attempted = doctest.testmod(importlib.import_module("tsdask_mpi." + name))
    print(name, failed, attempted > 1)
`;

test("the examples of the Python part's documentation run", async () => {
  await using clean = nothingLeft({ within: 20 });
  const file = clean.write("examples.py", examples("cluster", "listing", "jobqueue"));
  const finished = await run(command(python().path, file), {
    folder: clean.folder,
    env: { ...clean.env, ...environment, XDG_STATE_HOME: clean.tmp },
    deadline: 280,
  });
  clean.allow(/^tsdask-mpi/);
  expect(finished.stdout, tell(finished)).toBe("cluster 0 True\nlisting 0 True\njobqueue 0 True\n");
});

test("those of initialize() and execute() run in a launch", async () => {
  await using clean = nothingLeft();
  const file = clean.write("examples.py", examples("spmd"));
  const finished = await run(command(tsdask, "--np", "3", "--python", python().path, file), {
    folder: clean.folder,
    env: { ...clean.env, ...environment },
  });
  expect(finished.stdout, tell(finished)).toBe("spmd 0 True\n");
});

test("the page for notebooks has a script that runs", async () => {
  await using clean = nothingLeft();
  const page = readFileSync(join(projectRoot, "docs", "notebooks.md"), "utf8");
  const block = /```python\n([\s\S]*?)```/.exec(page.slice(page.indexOf("## Before and after")))?.[1] ?? "";
  const words = ["--np", "3", "--python", python().path, clean.write("script.py", block)];
  const finished = await run(command(tsdask, ...words), { folder: clean.folder, env: clean.env });
  expect([finished.code, finished.stdout], tell(finished)).toEqual([0, "[0, 1, 4, 9]\n1\n"]);
});
