import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command, projectRoot, which } from "./integration/bed/command.ts";
import { run } from "./integration/bed/run.ts";

// Every shell script of the repository, by its first line or its name.
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: projectRoot,
  encoding: "utf8",
}).split("\n");
const text = (path: string): string => readFileSync(join(projectRoot, path), "utf8");
const likely = tracked.filter(
  (path) => /^(bin|scripts|\.ci|test\/integration\/bed)\//.test(path) && !/\.(ts|mjs|js|py|md|ya?ml|json)$/.test(path),
);
const scripts = likely.filter((path) => path.endsWith(".sh") || /^#!.*\b(ba)?sh\b/.test(text(path)));

if (which("shellcheck") !== undefined) {
  test.each(scripts)("%s is clean under shellcheck", { timeout: 60_000 }, async (path) => {
    const finished = await run(command("shellcheck", "--external-sources", path), { folder: projectRoot });
    expect(finished.stdout + finished.stderr).toBe("");
  });
}

test("the scripts that start the commands and the project are POSIX sh", () => {
  for (const path of scripts.filter((name) => /^bin\/|^scripts\/(start|test)$/.test(name)))
    expect(text(path)).toMatch(/^#!\/bin\/sh\n/);
});
