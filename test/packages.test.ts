import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { command, projectRoot } from "./integration/bed/command.ts";
import { output, run, tell } from "./integration/bed/run.ts";

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

test("dist/ is that of the sources beside it by their bytes, whatever the times of an unpacked archive or a copy", async () => {
  const root = mkdtempSync(join(tmpdir(), "packages-"));
  try {
    for (const folder of ["packaging", "src/ui", "dist"]) mkdirSync(join(root, folder), { recursive: true });
    for (const file of ["packaging/backend.py", "package.json"]) cpSync(join(projectRoot, file), join(root, file));
    for (const file of ["src/main.ts", "src/ui.ts", "src/ui/out.ts", "dist/any-node.cjs"])
      writeFileSync(join(root, file), file);
    const digest = `
      import { sourcesDigest } from ${JSON.stringify(join(scripts, "lib", "sources.mjs"))};
      console.log(sourcesDigest(${JSON.stringify(root)}));
    `;
    const made = await output(command(process.execPath, "--input-type=module", "--eval", digest));
    writeFileSync(join(root, "dist", "sources.sha256"), made);
    const asked = "import sys; sys.path.insert(0, sys.argv[1]); import backend; print(backend._is_built())";
    const isBuilt = async (): Promise<string> =>
      (await output(command("python3", "-I", "-B", "-c", asked, join(root, "packaging")))).trim();
    utimesSync(join(root, "dist", "any-node.cjs"), 1, 1);
    expect(await isBuilt()).toBe("True");
    writeFileSync(join(root, "src", "ui.ts"), "a site's own change");
    utimesSync(join(root, "src", "ui.ts"), 0, 0);
    expect(await isBuilt()).toBe("False");
  } finally {
    rmSync(root, { recursive: true });
  }
});
