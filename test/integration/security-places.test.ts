import { describe, expect, test } from "vitest";
import { chmodSync } from "node:fs";
import { dirname } from "node:path";
import { which } from "./bed/command.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { python } from "./bed/pythons.ts";
import { randomFrom } from "./bed/random.ts";
import { strangerAvailable } from "./bed/user.ts";
import { kinds, meetStranger, namesOf, titleOf, tryCase, type Case, type Kind, type Tried } from "./security/places.ts";

/**
 * `TSDASK_TEST_PLACES=all` tries the whole product, which takes hours; else a sample of `TSDASK_TEST_SEED`, as large as
 * its time allows.
 */
const all = process.env["TSDASK_TEST_PLACES"] === "all";
const seed = Number(process.env["TSDASK_TEST_SEED"] ?? 830_117);
/** Seconds for each test with its sample, the look for names included. */
const budget = 30;

const place = ["--python", python().path];
const open = ["--security", "none"];
const commands: readonly Tried[] = [
  {
    name: "a launch",
    words: [
      ...place,
      "--np",
      "2",
      "--inclusive-workers",
      "--launch-id",
      "places",
      "--start-timeout",
      "20s",
      "--dashboard-address",
      ":0",
      "--log-dir",
      "logs",
      "--json-summary",
      "summary.json",
      "script.py",
    ],
    within: 60,
  },
  {
    name: "a launch that joins",
    words: [...place, "--np", "1", "--no-scheduler", "--start-timeout", "1s", ...open],
    within: 30,
    file: true,
  },
  { name: "script", words: ["script", "slurm", "-o", "job.sh", "script.py"], within: 20 },
  { name: "install-drop-in", words: ["install-drop-in", "."], within: 20 },
  {
    name: "a notebook",
    words: [...place, "--np", "2", "--inclusive-workers", "--dashboard-address", ":0", "notebook.ipynb"],
    within: 60,
  },
  { name: "config", words: ["config"], within: 20 },
  { name: "connect", words: ["connect"], within: 20, file: true },
  { name: "env", words: ["env", ...open], within: 20, file: true },
  { name: "status", words: ["status"], within: 20, file: true },
  { name: "logs", words: ["logs"], within: 20, file: true },
  { name: "list", words: ["list"], within: 20, file: true },
  { name: "stop", words: ["stop"], within: 20, file: true },
  { name: "scale", words: ["scale", "0", ...open], within: 30, file: true },
  { name: "adapt", words: ["adapt", "--max", "1", "--interval", "100ms", ...open], within: 30, file: true },
];

function shuffled<T>(list: readonly T[], random: () => number): readonly T[] {
  return list
    .map((item) => [random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}

async function casesOf(clean: Clean, tried: Tried): Promise<readonly Case[]> {
  const names = await namesOf(clean, tried);
  const modes = [0o1777, 0o2775, 0o777];
  return modes.flatMap((mode) =>
    names.flatMap((at) =>
      kinds
        // Nobody but its owner renames in a sticky folder.
        .filter((kind: Kind) => kind !== "swap" || (mode !== 0o1777 && at.in === "cwd"))
        .map((kind, i) => ({ tried, mode, place: at, kind, who: i % 2 === 0 ? "stranger" : "colleague" }) as const),
    ),
  );
}

/** Tries cases until the time is over; the first of each command always. */
async function tryAll(clean: Clean, cases: readonly (readonly Case[])[], began: number): Promise<void> {
  const until = began + budget * 1000;
  const wrong: string[] = [];
  let [tries, planted] = [0, 0];
  for (let round = 0; cases.some((list) => round < list.length); round += 1) {
    for (const list of cases) {
      const one = list[round];
      if (one === undefined || (!all && round > 0 && performance.now() > until)) continue;
      const found = await tryCase(clean, one);
      tries += 1;
      if (found === undefined) continue;
      planted += 1;
      if (found.length > 0) wrong.push(`${titleOf(one)}: ${found.join("\n")}`);
    }
  }
  expect(wrong, `seed ${seed}, ${planted} planted of ${tries}`).toEqual([]);
  expect(planted).toBeGreaterThan(0);
}

describe.runIf(strangerAvailable() === true && which("strace") !== undefined)(
  `what others put at the names that a command uses, as strace sees them (seed ${seed})`,
  () => {
    const limit = all ? 6 * 3_600_000 : 480_000;
    const prepared = (): Clean => {
      const clean = nothingLeft({ within: 15 });
      clean.allow(/./);
      chmodSync(dirname(clean.folder), 0o755);
      return clean;
    };

    test("is not run, followed, written to, removed or waited for by a launch", { timeout: limit }, async () => {
      await using clean = prepared();
      const began = performance.now();
      const cases = await casesOf(clean, commands[0] as Tried);
      expect(cases.map(({ place: at }) => at.name)).toEqual(expect.arrayContaining(["scheduler.json", "summary.json"]));
      const random = randomFrom(seed);
      const loops = cases.filter(({ kind }) => kind === "swap");
      await tryAll(clean, [shuffled(loops, random), shuffled(cases, random)], began);
    });

    test("nor by the commands that read and write files", { timeout: limit }, async () => {
      await using clean = prepared();
      const began = performance.now();
      const random = randomFrom(seed);
      const lists: Case[][] = [];
      for (const tried of commands.slice(1)) lists.push([...shuffled(await casesOf(clean, tried), random)]);
      await tryAll(clean, lists, began);
    });

    test("a rank does not connect to a stranger who stands where its leader should, while folders are exchanged", async () => {
      await using clean = prepared();
      for (let round = 0; round < (all ? 200 : 8); round += 1)
        expect(await meetStranger(clean), `round ${round}`).toEqual([]);
    });

    test.each([0o700, 0o755])("cannot be put into a folder of mode %o at all", async (mode) => {
      await using clean = prepared();
      for (const who of ["stranger", "colleague"] as const) {
        const one: Case = { tried: commands[2] as Tried, mode, place: { in: "cwd", name: "x" }, kind: "file", who };
        expect(await tryCase(clean, one)).toBeUndefined();
      }
    });
  },
);
