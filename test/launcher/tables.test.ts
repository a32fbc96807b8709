import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { starterNames } from "../../src/launcher/known.ts";
import { identify, type LauncherName } from "../../src/launcher/world.ts";
import { environment, environments } from "./environments.ts";

const script = readFileSync(new URL("../../bin/tsdask-mpi", import.meta.url), "utf8");

/** Launchers whose further ranks become a Node each: no release of theirs was at hand to try a shell under. */
const withoutShells: ReadonlySet<LauncherName> = new Set([
  "alps",
  "communicator",
  "generic",
  "mvapich2",
  "pmi",
  "pmix",
]);

/** What the shell's `name=${FIRST-${SECOND-}}` gives in an environment. */
function inShell(name: string, env: Readonly<Record<string, string>>): string {
  const line = new RegExp(`^ *${name}=(\\$\\{.*)$`, "m").exec(script)?.[1] ?? "";
  const variables = [...line.matchAll(/\$\{(\w+)-/g)].map(([, variable = ""]) => variable);
  const first = variables.find((variable) => env[variable] !== undefined);
  return first === undefined ? "" : (env[first] ?? "");
}

describe("bin/tsdask-mpi, which tells a launcher without a Node", () => {
  test("knows the processes of launchers by the names that src/launcher/known.ts has", () => {
    const [, names = ""] = /# Those of src\/launcher\/known\.ts\.\n *([^)]*)\)/.exec(script) ?? [];
    expect(names.split(" | ").toSorted(), "the names that find_post looks for").toEqual(
      starterNames.map((name) => `${name}*`).toSorted(),
    );
  });

  test.each(environments)("sees the rank of %s, or none, and then each of its ranks is a Node", (name) => {
    const env = environment(name);
    const world = told(env);
    if (world === undefined) return expect(env).not.toHaveProperty("TSDASK_RANK");
    const seen = [inShell("tsd_rank", env), inShell("tsd_place", env)];
    if (world.localRank === undefined || withoutShells.has(world.launcher)) return expect(seen).toContain("");
    const wanted = `the variables of ${world.launcher} in the lines tsd_rank= and tsd_place= of bin/tsdask-mpi`;
    return expect(seen, wanted).toEqual([String(world.rank), String(world.localRank)]);
  });
});

/** The world of an environment; undefined where it tells none, or no size. */
function told(env: Readonly<Record<string, string>>): ReturnType<typeof identify> {
  try {
    return identify(env);
  } catch {
    return undefined;
  }
}
