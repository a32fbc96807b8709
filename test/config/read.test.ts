import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readOptions, type ReadResult } from "../../src/config/read.ts";
import { kebab, variable } from "../../src/config/option-names.ts";
import { optionKeys, table } from "../../src/config/table.ts";
import { Failure } from "../../src/errors/failure.ts";

const folder = mkdtempSync(join(tmpdir(), "tsdask-options-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const yaml = (content: string): string => {
  const file = join(folder, `${(files += 1)}.yaml`);
  writeFileSync(file, content);
  return file;
};

interface Said {
  readonly env?: NodeJS.ProcessEnv;
  readonly user?: string;
  readonly site?: string;
}

const read = (argv: readonly string[], { env = {}, user = "", site = "" }: Said = {}): Promise<ReadResult> =>
  readOptions({
    argv,
    env: { ...env },
    cwd: "/data/here",
    home: "/home/ada",
    userFile: yaml(user),
    siteFile: yaml(site),
  });

const failure = async (argv: readonly string[], said: Said = {}): Promise<Failure> => {
  const error: unknown = await read(argv, said).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(Failure);
  expect((error as Failure).exitCode).toBe(64);
  return error as Failure;
};

describe("precedence", () => {
  const site = "nthreads: 1\nname: site\n";
  const user = "nthreads: 2\n";
  const env = { TSDASK_NTHREADS: "3" };

  test("the command line wins over the environment, that over the user's file, that over the site's", async () => {
    expect((await read(["--nthreads", "4"], { env, user, site })).options.nthreads).toBe(4);
    expect((await read([], { env, user, site })).options.nthreads).toBe(3);
    expect((await read([], { user, site })).options.nthreads).toBe(2);
    expect((await read([], { site })).options.nthreads).toBe(1);
    expect((await read([])).options.nthreads).toBeUndefined();
  });

  test("every value knows where it came from", async () => {
    const { sources } = await read(["--no-dashboard"], {
      env,
      user: "memory-limit: 4GB",
      site: `# a comment\n\nname: site`,
    });
    expect(sources.dashboard).toEqual({ kind: "command-line", option: "--no-dashboard" });
    expect(sources.nthreads).toEqual({ kind: "environment", variable: "TSDASK_NTHREADS" });
    expect(sources.memoryLimit).toMatchObject({ kind: "user", line: 1 });
    expect(sources.name).toMatchObject({ kind: "site", line: 3 });
    expect(sources.protocol).toEqual({ kind: "default" });
  });

  test("an empty variable counts as not set", async () => {
    expect((await read([], { env: { TSDASK_NTHREADS: "" }, site })).options.nthreads).toBe(1);
  });

  test("null in a file goes back to the default, whatever the files below say", async () => {
    const { options, sources } = await read([], { user: "name: null\nnthreads:", site });
    expect([options.name, options.nthreads]).toEqual(["tsdask", undefined]);
    expect(sources.name.kind).toBe("user");
  });

  test("of an option given twice the last one counts; repeatable ones add up", async () => {
    const { options } = await read([
      "--np",
      "2",
      "--np=3",
      "--scheduler",
      "--no-scheduler",
      "--preload",
      "a",
      "--preload",
      "b --c",
    ]);
    expect([options.np, options.scheduler]).toEqual([3, false]);
    expect(options.preload).toEqual([["a"], ["b", "--c"]]);
  });

  test("yes/no options come from variables and files, too", async () => {
    const { options } = await read([], { env: { TSDASK_EXCLUSIVE_WORKERS: "no" }, user: "dashboard: off" });
    expect([options.exclusiveWorkers, options.dashboard]).toEqual([false, false]);
  });
});

describe("the script", () => {
  test.each([
    [["a.py"], { kind: "python", words: ["a.py"] }],
    [["dir.d/A.PY", "--np", "3"], { kind: "python", words: ["dir.d/A.PY", "--np", "3"] }],
    [["--np", "2", "n.ipynb"], { kind: "notebook", words: ["n.ipynb"] }],
    [["./run", "--help", "--", "x", ""], { kind: "command", words: ["./run", "--help", "--", "x", ""] }],
    [["-", "--year", "1"], { kind: "stdin", words: ["-", "--year", "1"] }],
    [["--", "a.py", "--bogus"], { kind: "command", words: ["a.py", "--bogus"] }],
    [["--", "--np"], { kind: "command", words: ["--np"] }],
    [["--quiet"], undefined],
  ])("of %j is %j", async (argv, script) => {
    expect((await read(argv)).options.script).toEqual(script);
  });

  test("options after the script are its own", async () => {
    expect((await read(["a.py", "--np", "3"])).options.np).toBeUndefined();
  });

  test("`--` with nothing after it is a mistake", async () => {
    expect((await failure(["--np", "2", "--"])).message).toContain("No command follows it");
  });
});

describe("an address to join", () => {
  test("means no scheduler, and brings its protocol", async () => {
    const { options, sources } = await read(["--np", "2", "tls://h:8786", "--nthreads", "2"]);
    expect(options).toMatchObject({
      schedulerAddress: "tls://h:8786",
      scheduler: false,
      np: 2,
      nthreads: 2,
      protocol: "tls",
      security: "tls",
      script: undefined,
    });
    expect(sources.scheduler).toEqual({ kind: "derived", from: "the scheduler's address" });
  });

  test("that is plain turns the default encryption off, and only the default", async () => {
    const { options, sources } = await read(["tcp://h:8786"]);
    expect([options.protocol, options.security]).toEqual(["tcp", "none"]);
    expect(sources.security.kind).toBe("derived");
    expect((await failure(["tcp://h:8786", "--security", "tls"])).message).toContain("not encrypted");
  });

  test("keeps repeatable options from both of its sides", async () => {
    expect((await read(["--warm", "a", "tls://h:1", "--warm", "b"])).options.warm).toEqual(["a", "b"]);
  });

  test.each([
    [["tls://h:1", "tls://h:2"], "TSD-007", "one cluster"],
    [["tls://h:1", "a.py"], "TSD-007", "none would run the script"],
    [["tls://h:1", "--", "ls"], "TSD-007", "none would run the script"],
    [["--scheduler", "tls://h:1"], "TSD-007", "--scheduler"],
    [["tls://h:1", "--protocol", "ucx"], "TSD-007", "Leave out --protocol"],
    [["http://h:1"], "TSD-003", "scheme that Dask does not know"],
    [["tcp://h"], "TSD-003", "lacks a host or a port"],
    [["h:8786"], "TSD-003", "Write tcp://h:8786"],
  ])("is refused in %j", async (argv, code, part) => {
    const { code: found, message } = await failure(argv);
    expect(found).toBe(code);
    expect(message).toContain(part);
  });
});

describe("mistakes", () => {
  test("a bad value names the option, the value, where it stood, and how to write it", async () => {
    expect((await failure(["--memory-limit", "lots"])).message).toMatch(
      /^TSD-003 --memory-limit is not a size in bytes\.[\s\S]*"lots" \(from the command line\)[\s\S]*4GiB/,
    );
    expect((await failure([], { env: { TSDASK_NTHREADS: "two" } })).message).toContain('"two" (from TSDASK_NTHREADS)');
    expect((await failure([], { user: "\nspawn: threads" })).message).toMatch(/"threads" \(from \S+\.yaml, line 2\)/);
    expect((await failure(["--inclusive-workers"], { env: { TSDASK_DASHBOARD: "perhaps" } })).message).toContain(
      "--dashboard",
    );
  });

  test("a variable that is one slip away from one of ours is pointed out", async () => {
    const { warnings } = await read([], {
      env: { TSDASK_NTHREAD: "2", TSDASK_RANK: "0", TSDASK_SIZE: "4", TSDASK_LOCAL_RANK: "0", TSDASK_SITE_CONFIG: "" },
    });
    expect(warnings).toEqual(["TSDASK_NTHREAD is set, but has no effect: did you mean TSDASK_NTHREADS?"]);
  });
});

describe("garbage", () => {
  test("in any place ends in options or in a Failure with exit code 64", async () => {
    const garbage = [
      "",
      " ",
      "-",
      "-1",
      "0",
      "1e309",
      "NaN",
      "auto",
      "none",
      "~",
      "$X",
      "a,b",
      "{}",
      "[]",
      '{"a":',
      "a=1",
      "=",
      "\u0000",
      "\u001b[2J",
      "٣",
      "..",
      "tcp://",
      "x".repeat(5000),
      "1:2:3",
      "9".repeat(30),
      "__proto__",
      "'",
      '"',
      "\\",
      "a\nb",
    ];
    const keys = optionKeys.filter((key) => table[key].value !== undefined);
    for (const [row, key] of keys.entries()) {
      for (const [column, value] of garbage.entries()) {
        // Each option meets each value, each time in one of the three places.
        const places = [
          () => read([`--${kebab(key)}=${value}`]),
          () => read([], { env: { [variable(key)]: value } }),
          () => read([], { user: `${kebab(key)}: ${JSON.stringify(value)}` }),
        ];
        const outcome = await places[(row + column) % 3]?.().catch((error: unknown) => error);
        if (outcome instanceof Failure) {
          expect(outcome.exitCode).toBe(64);
          expect(outcome.message).not.toMatch(/[\u0000\u001b]|\?\n|undefined/);
          expect(outcome.message.length).toBeLessThan(1500);
        } else expect(outcome).toHaveProperty("options");
      }
      for (const value of [
        "[[[1]]]",
        "{a: {b: 1}}",
        "[null]",
        "{1: [x]}",
        "!!binary aGk=",
        "2001-01-01",
        "!!set {a, b}",
        ".nan",
        "[a, [b]]",
        "true",
      ]) {
        const outcome = await read([], { site: `${kebab(key)}: ${value}` }).catch((error: unknown) => error);
        if (outcome instanceof Failure) expect(outcome.exitCode).toBe(64);
        else expect(outcome).toHaveProperty("options");
      }
    }
  }, 60_000);
});

describe("help, version and commands", () => {
  test("are recognised, and need no readable file", async () => {
    for (const argv of [["--help"], ["-h"], ["help"], ["--np", "3", "--help"]])
      expect((await read(argv, { site: "[broken" })).command).toEqual({ kind: "help" });
    for (const argv of [["--version"], ["--quiet", "-V"]])
      expect((await read(argv, { env: { TSDASK_NP: "x" } })).command).toEqual({ kind: "version" });
  });

  test("leave a command its words, and read the options of the environment and the files for it", async () => {
    const { command, options } = await read(["connect", "--json", "x.json"], { site: "login-host: login.example" });
    expect(command).toEqual({ kind: "connect", argv: ["--json", "x.json"] });
    expect(options.loginHost).toBe("login.example");
  });

  test("help for a script's own --help is the script's", async () => {
    expect((await read(["a.py", "--help"])).command).toEqual({ kind: "launch" });
  });
});
