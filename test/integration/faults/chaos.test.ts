import { expect, test } from "vitest";
import { hostsAvailable } from "../bed/hosts.ts";
import { isRoot } from "../bed/command.ts";
import { tell } from "../bed/run.ts";
import { describeRound, planRound, type StormLauncher, stormLaunchers } from "../../chaos/plan.ts";
import { playRound } from "../../chaos/play.ts";
import { endsWithin, faultLaunchers } from "./fault.ts";

// `npm run chaos` plays as many as one likes. Here: a few, always the same, and those that once found something.

const means = { mounts: isRoot, hosts: hostsAvailable() === true };
const available = (Object.keys(stormLaunchers) as StormLauncher[]).filter((name) =>
  faultLaunchers.some((launcher) => launcher.name === stormLaunchers[name]),
);
const seed = 20_261;

test.each(Array.from({ length: 6 }, (_, index) => [index + 1] as const))(
  `round %i of seed ${seed} ends as it should`,
  async (number) => {
    const round = planRound(seed, number, available, means);
    const { findings, done, finished } = await playRound(round, endsWithin);
    const told = `${describeRound(round)} [${done.join("; ")}]\n${finished === undefined ? "" : tell(finished)}`;
    expect(findings, told).toEqual([]);
  },
);

test("the same seed and number are the same round, and another number is another", () => {
  const round = (number: number) => planRound(seed, number, ["local", "srun"], { mounts: true, hosts: true });
  expect(round(3)).toEqual(round(3));
  expect(new Set(Array.from({ length: 50 }, (_, number) => describeRound(round(number)))).size).toBe(50);
});
