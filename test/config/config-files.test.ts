import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { ConfigFile } from "../../src/config/config-file.ts";
import { configPlaces, readConfigFiles } from "../../src/config/config-files.ts";
import { readOptions, readSection } from "../../src/config/read.ts";
import { Failure } from "../../src/errors/failure.ts";

const folder = mkdtempSync(join(tmpdir(), "tsdask-files-"));
afterAll(() => rmSync(folder, { recursive: true }));

const siteFile = join(folder, "site.yaml");
const home = join(folder, "home");
mkdirSync(home);

const parse = async (content: string): Promise<ConfigFile | undefined> => {
  writeFileSync(siteFile, content);
  return (await readConfigFiles({ env: {}, home, siteFile }))[0];
};
const raw = async (content: string): Promise<Record<string, unknown>> =>
  Object.fromEntries([...((await parse(content))?.values ?? [])].map(([key, value]) => [key, value.raw]));
const failure = async (content: string): Promise<Failure> => {
  const error: unknown = await parse(content).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(Failure);
  return error as Failure;
};

describe("what a file says", () => {
  test("comes with its lines, numbers as they were written", async () => {
    const file = await parse(
      "# site\nwalltime: 1:30:00\n\nnthreads: 010\nmemory-limit: 0.5\nwarm: [a, b]\nworker-options:\n  x: 1\n",
    );
    expect(Object.fromEntries(file?.values ?? [])).toEqual({
      walltime: { raw: "1:30:00", line: 2 },
      nthreads: { raw: "010", line: 4 },
      memoryLimit: { raw: "0.5", line: 5 },
      warm: { raw: ["a", "b"], line: 6 },
      workerOptions: { raw: { x: 1 }, line: 7 },
    });
  });

  test.each(["", "\n\n", "# nothing\n", "---\n", "null"])("%j says nothing", async (content) => {
    expect(await raw(content)).toEqual({});
  });

  test("may use anchors, and keep a section for `tsdask-mpi script`", async () => {
    const file = await parse("log-dir: &d /logs\nlocal-directory: *d\nscript:\n  queue: short\n  modules: [python]\n");
    expect(file?.values.get("localDirectory")?.raw).toBe("/logs");
    expect(file?.sections.get("script")).toEqual({ queue: "short", modules: ["python"] });
  });

  test("reaches the options with home and variables filled in", async () => {
    writeFileSync(
      siteFile,
      "local-directory: ${SCRATCH}/dask\nlog-dir: ~/logs\nresources: {GPU: 2}\npreload: [[a.py, --x]]\n",
    );
    const { options } = await readOptions({ argv: [], env: { SCRATCH: "/s" }, cwd: "/w", home, siteFile });
    expect(options).toMatchObject({
      localDirectory: "/s/dask",
      logDir: join(home, "logs"),
      resources: { GPU: 2 },
      preload: [["a.py", "--x"]],
    });
  });
});

describe("hostile and broken files", () => {
  test.each([
    ["a: [1, 2", 1],
    ["np: 2\nnthreads: 3\n\tname: x", 3],
    ["np: 2\nnp: 3", 2],
    ["- np\n- 2", 1],
    ["just words", 1],
    ["np: 2\n---\nnp: 3", 2],
    ["script: 5", 1],
    ["np: 1\nnthreads: *nobody", 2],
    ["np: 1\nworker-options: !!set {a, b}", 2],
    ["worker-options: {a: !!binary aGk=}", 1],
    ["worker-options: &a {x: *a}", 1],
    [`worker-options: ${"{a: ".repeat(5000)}1${"}".repeat(5000)}`, 1],
  ])("%j is refused with its line", async (content, line) => {
    const { code, message, exitCode } = await failure(content);
    expect([code, exitCode]).toEqual(["TSD-009", 64]);
    expect(message).toContain(`site.yaml, line ${line} `);
  });

  test("an unknown key names the nearest option", async () => {
    expect((await failure("np: 2\nmemory_limit: 4GB")).message).toMatch(
      /TSD-010 [\s\S]*memory_limit \(line 2\)[\s\S]*Did you mean `memory-limit`\?/,
    );
    expect((await failure("inclusive-workers: true")).message).toContain("Write `exclusive-workers: false`");
    expect((await failure("no_scheduler: true")).message).toContain("Write `scheduler: false`");
    for (const key of ["__proto__", "constructor", "toString", "? [a, b]", "1", '"\\e[2J"']) {
      const { code, message } = await failure(`${key}: 1`);
      expect(code).toBe("TSD-010");
      expect(message).not.toContain("\u001b");
    }
  });

  test("aliases cannot blow up", async () => {
    const bomb = [
      "warm: &a [x,x,x,x,x,x,x,x,x]",
      ..."bcdefghi".split("").map((name, i) => `? &${name} [${Array(9).fill(`*${"abcdefgh"[i]}`).join(",")}]`),
    ].join("\n");
    expect((await failure(bomb)).exitCode).toBe(64);
    const nested = `worker-options:\n  a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefghi"
      .split("")
      .map((name, i) => `  ${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[i]}`).join(",")}]`)
      .join("\n")}`;
    expect((await failure(nested)).code).toBe("TSD-009");
  });

  test("a huge file, a folder, a device, a loop, a file that must be there and is not", async () => {
    expect((await failure("#".repeat(1_000_001))).message).toContain("larger than");
    const loop = join(folder, "loop.yaml");
    symlinkSync(loop, loop);
    for (const siteFile of [folder, "/dev/zero", loop, join(folder, "none.yaml")]) {
      await expect(readConfigFiles({ env: {}, home, siteFile })).rejects.toMatchObject({ code: "TSD-009" });
      await expect(readConfigFiles({ env: { TSDASK_SITE_CONFIG: siteFile }, home })).rejects.toMatchObject({
        code: "TSD-009",
      });
    }
  });
});

describe("where files are looked for", () => {
  test("/dev/null stands for no file, also by a link", async () => {
    const userFile = join(folder, "masked.yaml");
    symlinkSync("/dev/null", userFile);
    const env = { TSDASK_SITE_CONFIG: "/dev/null" };
    expect(await readConfigFiles({ env, home, userFile })).toEqual([]);
  });

  test("the user's under XDG_CONFIG_HOME or ~/.config, the site's where a variable says or in /etc", () => {
    const files = (env: NodeJS.ProcessEnv): string[] => configPlaces({ env, home: "/h" }).map(({ file }) => file);
    expect(files({})).toEqual(["/h/.config/tsdask-mpi.yaml", "/etc/tsdask-mpi.yaml"]);
    expect(files({ XDG_CONFIG_HOME: "/x", TSDASK_SITE_CONFIG: "/site.yaml" })).toEqual([
      "/x/tsdask-mpi.yaml",
      "/site.yaml",
    ]);
    expect(files({ XDG_CONFIG_HOME: "relative", TSDASK_SITE_CONFIG: "" })).toEqual([
      "/h/.config/tsdask-mpi.yaml",
      "/etc/tsdask-mpi.yaml",
    ]);
  });

  test("a section's values come from the user's file before the site's", async () => {
    const userFile = join(folder, "user.yaml");
    writeFileSync(userFile, "script: {queue: mine}");
    writeFileSync(siteFile, "script: {queue: theirs, account: a1}");
    const section = await readSection("script", { env: {}, cwd: "/", home, userFile, siteFile });
    expect(Object.fromEntries(section)).toEqual({
      queue: { value: "mine", file: userFile },
      account: { value: "a1", file: siteFile },
    });
  });
});
