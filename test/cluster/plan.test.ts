import { describe, expect, it } from "vitest";
import type { Failure } from "../../src/errors/failure.ts";
import { plan, type PlanInput } from "../../src/cluster/plan.ts";

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
