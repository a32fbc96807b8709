import { describe, expect, it } from "vitest";
import type { Failure } from "../../src/errors/failure.ts";
import { plan, planFor, rolesOf, type PlanInput } from "../../src/cluster/plan.ts";

const usual: PlanInput = { size: 8, scheduler: true, schedulerRank: 0, client: true, exclusiveWorkers: true };
const refusal = (input: PlanInput): Failure => {
  try {
    plan(input);
  } catch (error) {
    return error as Failure;
  }
  throw new Error("the plan was made");
};

describe("the roles of a launch", () => {
  it("are a scheduler, a client and workers, in this order", () => {
    expect(plan(usual)).toEqual({ size: 8, schedulerRank: 0, clientRank: 1, workerRanks: [2, 3, 4, 5, 6, 7] });
  });

  it.each<[string, Partial<PlanInput>]>([
    ["one rank for a script", { size: 1 }],
    ["two ranks for a script", { size: 2 }],
    ["one rank without a script", { size: 1, client: false }],
    ["one rank that joins and has a script", { size: 1, scheduler: false }],
    ["a script that shares the scheduler's rank", { size: 1, clientRank: 0 }],
  ])("that do not fit into %s are refused with a number that is enough", (_, input) => {
    const failure = refusal({ ...usual, ...input });
    expect(failure.code).toBe("TSD-002");
    const needed = Number(failure.facts["needed"]);
    expect(needed).toBeGreaterThan(input.size ?? 0);
    expect(plan({ ...usual, ...input, size: needed }).workerRanks.length).toBe(1);
  });
});

describe("the roles of one rank", () => {
  const table = (input: Partial<PlanInput>): string[] => {
    const made = plan({ ...usual, size: 3, ...input });
    return [0, 1, 2].map((rank) => rolesOf(rank, made).join("+"));
  };

  it.each<[string, Partial<PlanInput>, string[]]>([
    ["each its own", {}, ["scheduler", "client", "worker"]],
    ["no script", { client: false }, ["scheduler", "worker", "worker"]],
    ["no scheduler", { scheduler: false }, ["client", "worker", "worker"]],
    ["neither", { scheduler: false, client: false }, ["worker", "worker", "worker"]],
    ["the scheduler elsewhere", { schedulerRank: 2 }, ["client", "worker", "scheduler"]],
    ["the script elsewhere", { clientRank: 2 }, ["scheduler", "worker", "client"]],
    ["the script with the scheduler", { clientRank: 0 }, ["scheduler+client", "worker", "worker"]],
    ["workers everywhere", { exclusiveWorkers: false }, ["scheduler+worker", "worker+client", "worker"]],
  ])("%s", (_, input, roles) => {
    expect(table(input)).toEqual(roles);
  });

  it.each<[string, Partial<PlanInput>]>([
    ["--scheduler-rank 8", { schedulerRank: 8 }],
    ["--client-rank 9", { clientRank: 9 }],
  ])("of a rank that is not there: %s", (option, input) => {
    const { code, facts } = refusal({ ...usual, ...input });
    expect([code, facts["needed"]]).toEqual(["TSD-002", Number(option.slice(-1)) + 1]);
    expect(facts["why"]).toContain(option);
  });
});

it("JupyterLab is a client as a script is", () => {
  const options = { scheduler: true, schedulerRank: 0, clientRank: undefined, exclusiveWorkers: true };
  expect(planFor({ ...options, script: undefined, jupyter: "lab" }, 3).clientRank).toBe(1);
  expect(planFor({ ...options, script: undefined, jupyter: undefined }, 3).clientRank).toBeUndefined();
});
