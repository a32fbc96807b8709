import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { helpText } from "../../src/commands/help.ts";
import { optionsPage } from "../../src/commands/options-page.ts";
import { SUBCOMMANDS, type Command } from "../../src/config/options.ts";
import { clusterTrust } from "../../src/commands/cluster-trust.ts";
import { readOptions } from "../../src/config/read.ts";
import { runCommand } from "../../src/commands/run.ts";
import { edits, nearest } from "../../src/config/suggest.ts";
import { kebab, variable } from "../../src/config/option-names.ts";
import { optionKeys, table } from "../../src/config/table.ts";
import { VERSION } from "../../src/config/version.ts";

const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "tsdask-command-"));
afterAll(() => rmSync(folder, { recursive: true }));

const run = async (command: Exclude<Command, { kind: "launch" }>, env: NodeJS.ProcessEnv = {}) => {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCommand(command, {
    env: { HOME: folder, ...env },
    cwd: "/w",
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
  });
  return { code, out: out.join(""), err: err.join("") };
};
const config = (argv: readonly string[], env: NodeJS.ProcessEnv = {}) => run({ kind: "config", argv }, env);

describe("tsdask-mpi config", () => {
  test("shows every option with its value and source", async () => {
    const site = join(folder, "site.yaml");
    writeFileSync(site, "login-host: login.example\n");
    const { code, out, err } = await config(["--nthreads", "2", "a.py", "--x"], {
      TSDASK_SITE_CONFIG: site,
      TSDASK_MEMORY_LIMIT: "4GB",
      TSDASK_NTHREAD: "1",
    });
    expect(code).toBe(0);
    for (const key of optionKeys) expect(out).toMatch(new RegExp(`^${kebab(key)} +\\S`, "m"));
    expect(out).toMatch(/^nthreads +2 +the command line$/m);
    expect(out).toMatch(/^memory-limit +4000000000 bytes +TSDASK_MEMORY_LIMIT$/m);
    expect(out).toMatch(/^login-host +login\.example +\S+site\.yaml, line 1$/m);
    expect(out).toMatch(/^\(script\) +a\.py --x /m);
    expect(out).toContain(".config/tsdask-mpi.yaml (not there)");
    expect(err).toContain("did you mean TSDASK_NTHREADS");
  });

  test("shows a path whose variable only jobs have, which a launch refuses here", async () => {
    const site = join(folder, "unset.yaml");
    writeFileSync(site, "local-directory: ${JOBS_DISK}\ngroup: 'gpu:local-directory=$JOBS_DISK/gpu'\n");
    const env = { TSDASK_SITE_CONFIG: site };
    const { code, out } = await config([], env);
    expect(code).toBe(0);
    expect(out).toMatch(/^local-directory +\$\{JOBS_DISK\} \(JOBS_DISK is not set here\) +\S+unset\.yaml, line 1$/m);
    expect(out).toMatch(/^group +gpu: .*\$JOBS_DISK\/gpu.* \(JOBS_DISK is not set here\) /m);
    const report = JSON.parse((await config(["--json"], env)).out) as { options: Record<string, unknown> };
    expect(report.options["local-directory"]).toMatchObject({ value: "${JOBS_DISK}", unset: "JOBS_DISK" });
    expect((await config([], { ...env, JOBS_DISK: "/disk" })).out).toMatch(/^local-directory +\/disk +\S/m);
    await expect(readOptions({ argv: [], env: { HOME: folder, ...env }, cwd: "/w" })).rejects.toMatchObject({
      code: "TSD-003",
    });
    await expect(clusterTrust({}, { env: { HOME: folder, ...env }, cwd: "/w" })).resolves.toMatchObject({
      security: "tls",
    });
  });

  test("says the same to programs", async () => {
    const { out } = await config(["--np", "2", "--json", "tcp://h:1"]);
    const report = JSON.parse(out) as {
      options: Record<string, { value: unknown; source: string }>;
      schedulerAddress: string;
      files: unknown[];
    };
    expect(Object.keys(report.options)).toEqual(optionKeys.map(kebab));
    expect(report.options["np"]).toMatchObject({ value: 2, source: "the command line" });
    expect(report.options["security"]).toMatchObject({ value: "none", source: "follows from the scheduler's address" });
    expect(report.schedulerAddress).toBe("tcp://h:1");
    expect(report.files).toHaveLength(2);
  });

  test("shows what of Dask's settings follows from the size, and what a variable of Dask's says instead", async () => {
    expect((await config([])).out).toContain("With --np or --expected-workers:");
    const env = { DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT: "77s" };
    const { out } = await config(["--expected-workers", "3000"], env);
    expect(out).toMatch(
      /^distributed\.comm\.timeouts\.connect +77s +DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT says so$/m,
    );
    expect(out).toMatch(/^distributed\.comm\.timeouts\.tcp +320s +3000 workers greet one scheduler$/m);
    expect(out).not.toContain("With --np");
  });

  test("explains itself", async () => {
    expect((await config(["--help"])).out).toContain("tsdask-mpi config [--json]");
  });

  test("refuses what a launch would refuse", async () => {
    await expect(config(["--np", "x"])).rejects.toMatchObject({ code: "TSD-003" });
  });
});

test.each([
  [{ kind: "scale", argv: ["4"] }, "scale N"],
  [{ kind: "adapt", argv: ["--max", "3"] }, "adapt --max N"],
  [{ kind: "connect", argv: [] }, "connect"],
  [{ kind: "env", argv: [] }, "env"],
] as const)("%o without a cluster here says how it is named to that command", async (command, words) => {
  await expect(run(command)).rejects.toThrow(
    `\`tsdask-mpi list\` shows yours) or its file: \`tsdask-mpi ${words} NAME\`, \`tsdask-mpi ${words} /path/to`,
  );
});

describe("--help and --version", () => {
  test("name every option and its default", async () => {
    const { out } = await run({ kind: "help", topic: "all" });
    for (const key of optionKeys)
      expect(out).toContain(`--${table[key].negative === `no-${kebab(key)}` ? "[no-]" : ""}${kebab(key)}`);
    for (const part of [
      "Usage:",
      "mpirun -np 8",
      "srun -n",
      "--np 4",
      "Who does what:",
      "When it fails:",
      "Exit codes:",
      "[:8787]",
    ])
      expect(out).toContain(part);
    expect(out.endsWith("\n")).toBe(true);
  });

  test("fits a screen, and leads on to each group of options and each command", async () => {
    const { out } = await run({ kind: "help" });
    expect(out.split("\n").length).toBeLessThanOrEqual(40);
    expect(out.indexOf("mpirun -np 8")).toBeLessThan(out.indexOf("Usage:"));
    const [, topics = ""] = /--help (starting.*)/.exec(out) ?? [];
    const groups = [...new Set(optionKeys.map((key) => table[key].group))];
    expect(topics.split(" | ")).toHaveLength(groups.length);
    for (const [index, topic] of topics.split(" | ").entries()) {
      const text = (await run({ kind: "help", topic })).out;
      expect(text.startsWith(`${groups[index]}:\n`), topic).toBe(true);
    }
    for (const name of SUBCOMMANDS) {
      expect(out, name).toContain(name);
      expect((await run({ kind: "help", topic: name })).out, name).toContain(`Usage: tsdask-mpi ${name}`);
    }
    await expect(run({ kind: "help", topic: "bogus" })).rejects.toMatchObject({ code: "TSD-006" });
  });

  test("fit a terminal of 100 columns, and dask-mpi's is its own", async () => {
    for (const program of ["tsdask-mpi", "dask-mpi"] as const) {
      for (const line of helpText(program, 100).split("\n")) expect(line.length).toBeLessThanOrEqual(100);
    }
    expect(helpText("dask-mpi", 100)).not.toContain("--jupyter");
    expect(helpText("dask-mpi", 20)).toContain("--scheduler-file");
  });

  test("the version is package.json's", async () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    expect(VERSION).toBe(version);
    expect((await run({ kind: "version" })).out).toBe(`tsdask-mpi ${version}\n`);
  });
});

describe("the table of options", () => {
  test("has names that do not collide", () => {
    const names = optionKeys.flatMap((key) => [kebab(key), table[key].negative ?? []].flat());
    expect(new Set(names).size).toBe(names.length);
    expect(variable("memoryLimit")).toBe("TSDASK_MEMORY_LIMIT");
  });

  test("is what docs/options.md says (written by `node scripts/docs.mjs`)", () => {
    expect(readFileSync(join(root, "docs/options.md"), "utf8")).toBe(optionsPage());
  });
});

describe("suggestions", () => {
  test("count edits, with neighbours swapped as one", () => {
    expect(edits("kitten", "sitting")).toBe(3);
    expect(edits("nthraeds", "nthreads")).toBe(1);
    expect(edits("", "abc")).toBe(3);
  });

  test("are near or a beginning, else none", () => {
    expect(nearest("memory-limt", ["memory-limit", "name"])).toBe("memory-limit");
    expect(nearest("dashb", ["dashboard"])).toBe("dashboard");
    expect(nearest("zzz", ["memory-limit"])).toBeUndefined();
    expect(nearest("x".repeat(100_000), ["memory-limit"])).toBeUndefined();
  });
});
