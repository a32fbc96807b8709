import { describe, expect, test } from "vitest";
import { DASK_MPI_GRAMMAR } from "../../src/config/dask-mpi.ts";
import { flagsOf, type Grammar } from "../../src/config/grammar.ts";
import { parseLine } from "../../src/config/parse.ts";
import { GRAMMAR } from "../../src/config/read.ts";
import { readLine, scan } from "../../src/config/scan.ts";
import { Failure } from "../../src/errors/failure.ts";

/** A small generator with a fixed seed (mulberry32): the same command lines in every run. */
const random = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

const commandLine = (next: () => number, grammar: Grammar): string[] => {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(next() * values.length)] as T;
  const words = [
    "script.py",
    "-",
    "--",
    "-5",
    "a b",
    "",
    "--bogus",
    "tcp://h:1",
    "-np",
    "--quiet=1",
    "--help",
    "=",
    "--=",
    "-x=3",
    "--np",
    "--nthreads=",
    "ü",
  ];
  return Array.from({ length: Math.floor(next() * 7) }, () => {
    const { flag, spec, negative } = pick(flagsOf(grammar));
    if (next() < 0.3) return [pick(words)];
    if (spec.value === undefined || negative) return [flag];
    return next() < 0.5
      ? [flag, pick(["1", "x", "--", "-1", "--np", "a=b"])]
      : [`${flag}=${pick(["1", "", "a=b", "-"])}`];
  }).flat();
};

describe.each([
  ["tsdask-mpi", GRAMMAR],
  ["dask-mpi", DASK_MPI_GRAMMAR],
])("the quick scan of %s's command line", (_, grammar) => {
  test("takes apart what commander takes apart, in the same way, or leaves it to commander", () => {
    const next = random(7);
    let scanned = 0;
    for (let i = 0; i < 2000; i += 1) {
      const argv = commandLine(next, grammar);
      const quick = scan(argv, grammar);
      if (quick === undefined) continue;
      scanned += 1;
      expect({ argv, ...parseLine(argv, grammar) }).toEqual({ argv, ...quick });
    }
    expect(scanned).toBeGreaterThan(1000);
  });

  test("ends in a line or in a Failure with exit code 64, whatever the words", async () => {
    const next = random(11);
    for (let i = 0; i < 2000; i += 1) {
      const argv = commandLine(next, grammar);
      const outcome = await readLine(argv, grammar).catch((error: unknown) => error);
      if (outcome instanceof Failure) expect(outcome.exitCode).toBe(64);
      else expect(outcome).toHaveProperty("said");
    }
  });
});

describe("mistakes on the command line", () => {
  const failure = async (...argv: string[]): Promise<string> => {
    const error: unknown = await readLine(argv, GRAMMAR).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Failure);
    return (error as Failure).message;
  };

  test("an unknown option names the nearest one", async () => {
    expect(await failure("--memory_limit", "4GB")).toMatch(
      /TSD-006 tsdask-mpi: --memory_limit is not one of its options[\s\S]*Did you mean --memory-limit\?/,
    );
    expect(await failure("-np", "4")).toContain("Did you mean --np?");
    expect(await failure("--qqqqqqqq")).not.toContain("Did you mean");
  });

  test("an option without its value says so", async () => {
    expect(await failure("--nthreads")).toMatch(/^TSD-008 --nthreads has no value/);
    expect(await failure("--python", "--np", "4")).toMatch(/^TSD-008 --python has no value/);
    expect(await failure("--name", "--", "x")).toMatch(/^TSD-008 --name has no value/);
  });

  test("a yes/no option takes no value", async () => {
    expect(await failure("--no-dashboard=1")).toContain("--no-dashboard takes no value");
  });

  test("control characters do not reach the terminal", async () => {
    expect(await failure("--\u001b[2J")).not.toContain("\u001b");
  });

  test("no message mentions commander or a stack", async () => {
    for (const argv of [["--np"], ["--bogus"], ["--quiet=3"]])
      expect(await failure(...argv)).not.toMatch(/commander|error:|\bat \S+:\d+/);
  });
});
