import { expect, test } from "vitest";
import { hostsAvailable } from "../bed/hosts.ts";
import { isRoot, which } from "../bed/command.ts";
import { type Finished, tell } from "../bed/run.ts";
import { describeRound, planRound, type Round, type StormLauncher, stormLaunchers } from "../../chaos/plan.ts";
import { playRound } from "../../chaos/play.ts";
import { endsWithin, faultLaunchers, message } from "./fault.ts";

// `npm run chaos` plays as many as one likes. Here: a few, always the same, and those that once found something.

const means = { mounts: isRoot, hosts: hostsAvailable() === true };
const available = (Object.keys(stormLaunchers) as StormLauncher[]).filter((name) =>
  faultLaunchers.some((launcher) => launcher.name === stormLaunchers[name]),
);
const seed = 20_261;

async function play(round: Round): Promise<Finished | undefined> {
  const { findings, done, finished } = await playRound(round, endsWithin());
  const told = `${describeRound(round)} [${done.join("; ")}]\n${finished === undefined ? "" : tell(finished)}`;
  expect(findings, told).toEqual([]);
  return finished;
}

test.each(Array.from({ length: 4 }, (_, index) => [index + 1] as const))(
  `round %i of seed ${seed} ends as it should`,
  async (number) => {
    await play(planRound(seed, number, available, means));
  },
);

test("a link that somebody has tidied away changes no rank's exit code", async () => {
  const name = available.includes("srun") ? "srun" : "local";
  const finished = await play({
    ...{ seed: 20_261, number: 5, launcher: name, ranks: 4, script: "plain", code: 0, seconds: 0.2 },
    ...{ after: "running", wait: 0, faults: [{ kind: "remove", place: "tmp", pick: 0.999 }] },
  });
  expect(finished?.code).toBe(0);
});

test("a rank that stands still while the launch ends leaves with its code all the same", async () => {
  const name = available.includes("mpich") ? "mpich" : "local";
  const finished = await play({
    ...{ seed: 2101, number: 854, launcher: name, ranks: 4, script: "plain", code: 0, seconds: 0.1 },
    ...{
      after: "running",
      wait: 0,
      faults: [{ kind: "signal", part: "worker's rank", signal: "SIGSTOP", lasts: 2_500 }],
    },
  });
  expect(finished?.code).toBe(0);
});

test.runIf(isRoot && which("chattr") !== undefined)(
  "a temporary folder that becomes read-only is said, and changes no exit code",
  async () => {
    const finished = await play({
      ...{ seed: 79, number: 9, launcher: "local", ranks: 4, script: "ready", code: 7, seconds: 0.1 },
      // To the end of the launch, whenever that is.
      ...{ after: "running", wait: 0, faults: [{ kind: "read-only", place: "tmp", lasts: 100_000 }] },
    });
    expect(finished?.code).toBe(7);
    expect(finished?.stderr).toMatch(message("TSD-195"));
  },
);

test.runIf(isRoot && which("chattr") !== undefined && available.includes("mpich"))(
  "a temporary folder that becomes read-only changes the code of no rank that is a shell",
  async () => {
    const finished = await play({
      ...{ seed: 2301, number: 376, launcher: "mpich", ranks: 5, script: "ready", code: 0, seconds: 0.1 },
      ...{ after: "running", wait: 0, faults: [{ kind: "read-only", place: "tmp", lasts: 3_000 }] },
    });
    expect(finished?.code).toBe(0);
  },
);

test("the same seed and number are the same round, and another number is another", () => {
  const round = (number: number) => planRound(seed, number, ["local", "srun"], { mounts: true, hosts: true });
  expect(round(3)).toEqual(round(3));
  expect(new Set(Array.from({ length: 50 }, (_, number) => describeRound(round(number)))).size).toBe(50);
});
