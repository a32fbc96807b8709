import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { projectRoot } from "./bed/command.ts";
import { launcher } from "./bed/launchers.ts";
import { nothingLeft } from "./bed/left.ts";
import { run, tell } from "./bed/run.ts";
import { program } from "./launch.ts";

const folder = join(projectRoot, "examples");
const examples = readdirSync(folder).filter((name) => /\.(py|ipynb)$/.test(name));

describe.each(examples)("examples/%s", (name) => {
  test("finds its own result right on a cluster", async () => {
    await using clean = nothingLeft();
    clean.write(name, "");
    copyFileSync(join(folder, name), join(clean.folder, name));
    const executed = name.endsWith(".ipynb") ? name.replace(".ipynb", ".out.ipynb") : undefined;
    if (executed !== undefined) clean.write(executed, "");
    const result = await run(launcher("local").command(4, program(name)), {
      folder: clean.folder,
      env: clean.env,
      deadline: 280,
    });
    expect(result, tell(result)).toMatchObject({ code: 0, timedOut: false });
    if (executed !== undefined)
      expect(readFileSync(join(clean.folder, executed), "utf8")).toContain('"execution_count": 1');
  });
});

test("the folder's page names every example", () => {
  const page = readFileSync(join(folder, "README.md"), "utf8");
  for (const name of examples) expect(page).toContain(`\`${name}\``);
});
