import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command, projectRoot } from "./integration/bed/command.ts";
import { run, tell } from "./integration/bed/run.ts";

const scripts = join(projectRoot, "scripts");

test("a package that cannot be made leaves no folder behind", async () => {
  const failing = `
    import { run, workFolder } from ${JSON.stringify(join(scripts, "lib", "pack.mjs"))};
    console.log(workFolder("packages-"));
    run("false");
  `;
  const ended = await run(command(process.execPath, "--input-type=module", "--eval", failing));
  expect([ended.code, ended.stderr], tell(ended)).toEqual([1, "false failed.\n"]);
  expect(ended.stdout).toContain("packages-");
  expect(existsSync(ended.stdout.trim())).toBe(false);
});

test.each([["zip"], ["--nodes", "/bin/node"], ["tar", "--out=/nowhere"]])(
  "the script for archives does not take %s %s for a tar",
  async (...words) => {
    const ended = await run(command(process.execPath, join(scripts, "archive.mjs"), ...words));
    expect([ended.code, ended.stderr], tell(ended)).toMatchObject([1, expect.stringContaining("nothing that is made")]);
  },
);
