import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

/**
 * Bundling changes how CommonJS libraries are loaded, and when: what works from the sources may not work from `dist/`.
 */
const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "tsdask-bundled-"));
afterAll(() => rmSync(folder, { recursive: true }));

const run = (argv: readonly string[], site = ""): string => {
  const siteFile = join(folder, "site.yaml");
  writeFileSync(siteFile, site);
  return execFileSync(process.execPath, [join(folder, "out/start.js"), ...argv], {
    encoding: "utf8",
    env: { HOME: folder, TSDASK_SITE_CONFIG: siteFile },
  });
};

beforeAll(async () => {
  const start = join(folder, "start.ts");
  writeFileSync(
    start,
    `import { readOptions } from ${JSON.stringify(join(root, "src/config/read.ts"))};
const { env } = process;
readOptions({ argv: process.argv.slice(2), env, cwd: "/" }).then(
  async ({ options, command }) => {
    if (command.kind === "launch") return console.log(JSON.stringify(options));
    const { runCommand } = await import(${JSON.stringify(join(root, "src/commands/run.ts"))});
    await runCommand(command, { env, cwd: "/", stdout: process.stdout, stderr: process.stderr });
  },
  (error) => console.log(error.code ?? error.stack),
);`,
  );
  const banner = {
    js: 'import{createRequire as $createRequire}from"node:module";const require=$createRequire(import.meta.url);',
  };
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  await build({
    entryPoints: [start],
    absWorkingDir: root,
    nodePaths: [join(root, "node_modules")],
    outdir: join(folder, "out"),
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22.15",
    mainFields: ["module", "main"],
    minifySyntax: true,
    banner,
  });
});

describe("bundled", () => {
  test("files, mistakes in them, and mistakes on the command line are read as from the sources", () => {
    expect(JSON.parse(run(["--np", "2"], "nthreads: 3\nwarm: [numpy]"))).toMatchObject({
      np: 2,
      nthreads: 3,
      warm: ["numpy"],
    });
    expect(run([], "nthread: 3")).toBe("TSD-010\n");
    expect(run([], "a: [")).toBe("TSD-009\n");
    expect(run(["--nthread", "3"])).toBe("TSD-006\n");
    expect(run(["--nthreads"])).toBe("TSD-008\n");
  });

  test("help and config are printed", () => {
    expect(run(["--np", "2", "--help"])).toContain("--memory-limit <size>");
    expect(run(["config"], "nthreads: 3")).toMatch(/^nthreads +3 +\S+site\.yaml, line 1$/m);
  });
});
