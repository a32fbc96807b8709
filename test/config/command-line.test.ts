import { describe, expect, it } from "vitest";
import { optionLines, readCommandLine, type CommandOption, type Defaults } from "../../src/config/command-line.ts";
import { duration, flag, integer } from "../../src/config/values.ts";

const options = {
  nodes: { value: "<n>", short: "n", read: integer(1, 100), help: "hosts" } satisfies CommandOption<number>,
  timeLimit: { value: "<time>", read: duration("positive"), help: "how long" } satisfies CommandOption<number>,
  submit: { read: flag, help: "submit it" } satisfies CommandOption<boolean>,
  setup: {
    value: "<line>",
    repeat: true,
    read: (raw: unknown) => raw as readonly string[],
    help: "a line",
  } satisfies CommandOption<readonly string[]>,
};
const read = (words: readonly string[], defaults: readonly Defaults[] = [], passThrough = Number.POSITIVE_INFINITY) =>
  readCommandLine(words, {
    program: "tsdask-mpi test",
    options,
    defaults,
    passThrough,
    context: { cwd: "/", home: "/", env: {}, variables: true },
  });

describe("the words of a command", () => {
  it.each<[string[], object, string[], boolean]>([
    [[], {}, [], false],
    [["a", "b"], {}, ["a", "b"], false],
    [["--nodes", "2", "a"], { nodes: 2 }, ["a"], false],
    [["--nodes=2"], { nodes: 2 }, [], false],
    [["-n", "3", "-h"], { nodes: 3 }, [], true],
    [["--nodes", "2", "--nodes", "4"], { nodes: 4 }, [], false],
    [["--time-limit", "2m"], { timeLimit: 120 }, [], false],
    [["--submit"], { submit: true }, [], false],
    [["--submit=no"], { submit: false }, [], false],
    [["--setup", "a=b", "--setup=c=d"], { setup: ["a=b", "c=d"] }, [], false],
    [["--setup", "-x"], { setup: ["-x"] }, [], false],
    [["-", "--", "--nodes", "x"], {}, ["-", "--nodes", "x"], false],
    [["--help"], {}, [], true],
  ])("%j", (words, said, rest, help) => {
    expect(read(words)).toEqual({ said, words: rest, help });
  });

  it("end where the words of another program begin", () => {
    expect(read(["slurm", "script.py", "--nodes", "x"], [], 1)).toEqual({
      said: {},
      words: ["slurm", "script.py", "--nodes", "x"],
      help: false,
    });
  });

  it.each<[string[], string, string]>([
    [["--nodes"], "TSD-008", "--nodes has no value"],
    [["--nodes", "--submit"], "TSD-008", "--nodes has no value"],
    [["--nodes", "x"], "TSD-003", "from the command line"],
    [["--nodse", "2"], "TSD-006", "Did you mean --nodes?"],
    [["-z"], "TSD-006", "is not an option"],
  ])("%j is refused", (words, code, text) => {
    expect(() => read(words)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(text) }));
  });

  it("come before those of configuration files, and those before each other in turn", () => {
    const files = [
      { values: { nodes: 5, time_limit: "1m", submit: null }, source: "site.yaml" },
      { values: { nodes: 6, submit: true }, source: "user.yaml" },
    ];
    expect(read([], files).said).toEqual({ nodes: 5, timeLimit: 60, submit: true });
    expect(read(["--nodes", "1"], files).said).toEqual({ nodes: 1, timeLimit: 60, submit: true });
    expect(() => read([], [{ values: { node: 1 }, source: "site.yaml" }])).toThrow(/from site\.yaml[\s\S]*`nodes`/);
    expect(() => read([], [{ values: { nodes: 0 }, source: "site.yaml" }])).toThrow(/from site\.yaml/);
  });
});

it("the help has a line for each option, with what it takes", () => {
  expect(optionLines(options)).toEqual([
    "  -n, --nodes <n>          hosts",
    "      --time-limit <time>  how long",
    "      --submit             submit it",
    "      --setup <line>       a line",
    "  -h, --help               this text",
  ]);
});
