import { describe, expect, test } from "vitest";
import { flagsOf } from "../../src/config/grammar.ts";
import { SUBCOMMANDS } from "../../src/config/options.ts";
import { FLAGS, isSubcommand, prescanPython, subcommandOf } from "../../src/config/prescan.ts";
import { GRAMMAR } from "../../src/config/read.ts";

describe("the quick look for Python", () => {
  test("knows every option without a value", () => {
    const flags = flagsOf(GRAMMAR).filter(({ spec, negative }) => spec.value === undefined || negative);
    expect([...FLAGS].sort()).toEqual(flags.map(({ flag }) => flag).sort());
  });

  test.each([
    [["--python", "/opt/py", "a.py"], {}, "/opt/py"],
    [["--python=/opt/py"], {}, "/opt/py"],
    [["--quiet", "--np", "3", "--python", "python3.12", "a.py"], {}, "python3.12"],
    [["--python", "a", "--python", "b"], {}, "b"],
    [["tcp://h:8786", "--python", "a"], {}, "a"],
    [["a.py", "--python", "x"], { TSDASK_PYTHON: "/env/py" }, "/env/py"],
    [["--name", "n", "a.py", "--python", "x"], {}, undefined],
    [["--", "--python", "x"], {}, undefined],
    [["--np", "--python", "x"], {}, undefined],
    [["--python", "/opt/py"], { TSDASK_PYTHON: "/env/py" }, "/opt/py"],
    [["--python", "./venv/bin/python"], {}, undefined],
    [["--python", "~/venv/bin/python"], {}, undefined],
    [["--python"], {}, undefined],
    [["--python="], {}, undefined],
    [[], { TSDASK_PYTHON: " " }, undefined],
    [[], {}, undefined],
  ])("%j with %j: %s", (argv, env, python) => {
    expect(prescanPython(argv, env)).toBe(python);
  });
});

describe("the first word", () => {
  test.each(SUBCOMMANDS)("%s is a command, with the words after it", (name) => {
    expect(subcommandOf([name, "--json", "x"])).toEqual({ kind: name, argv: ["--json", "x"] });
    expect(isSubcommand([name])).toBe(true);
  });

  test("help and version may be words or options", () => {
    for (const word of ["help", "--help", "-h"]) expect(subcommandOf([word])).toEqual({ kind: "help" });
    for (const word of ["help", "--help", "-h"])
      expect(subcommandOf([word, "network"])).toEqual({ kind: "help", topic: "network" });
    for (const word of ["version", "--version", "-V"]) expect(subcommandOf([word])).toEqual({ kind: "version" });
  });

  test("help and version may follow other options, but not the script", () => {
    expect(subcommandOf(["--np", "3", "tls://h:1", "--quiet", "--help"])).toEqual({ kind: "help" });
    expect(subcommandOf(["--np=3", "-V"])).toEqual({ kind: "version" });
    for (const argv of [
      ["a.py", "--help"],
      ["--", "--help"],
      ["--name", "--help"],
    ])
      expect(subcommandOf(argv)).toBeUndefined();
  });

  test("dask-mpi has help alone, anywhere", () => {
    expect(subcommandOf(["--scheduler-file", "x", "tcp://h:1", "--help"], "dask-mpi")).toEqual({ kind: "help" });
    for (const argv of [["config"], ["--version"], ["version"], ["--name", "--help"]])
      expect(subcommandOf(argv, "dask-mpi")).toBeUndefined();
  });

  test("anything else is a launch, and so is a command's name further on", () => {
    for (const argv of [[], ["script.py"], ["--np", "2", "env"], ["./config"], ["--", "env"], ["constructor"]])
      expect(isSubcommand(argv)).toBe(false);
  });
});
