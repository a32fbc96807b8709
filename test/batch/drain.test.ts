import { describe, expect, it } from "vitest";
import { drainPlan } from "../../src/batch/drain.ts";

describe("the drain before the walltime", () => {
  const hour = { now: 1000, started: 1000, end: 4600, drain: undefined };

  it("is five minutes in a job of an hour or more", () => {
    expect(drainPlan({ ...hour, end: 1000 + 7200 })).toMatchObject({
      drainAt: 1000 + 7200 - 300,
      lead: 300,
      from: "default",
    });
    expect(drainPlan(hour)?.lead).toBe(300);
  });
  it("is a tenth of the walltime in a shorter one, but no less than ten seconds", () => {
    expect(drainPlan({ ...hour, end: 1600 })?.lead).toBe(60);
    expect(drainPlan({ ...hour, end: 1060 })?.lead).toBe(10);
  });
  it("counts the walltime from the job's start, not from now", () => {
    expect(drainPlan({ ...hour, now: 4000 })?.drainAt).toBe(4300);
  });
  it("follows the option, also beyond a tenth", () => {
    expect(drainPlan({ ...hour, drain: 1800 })).toMatchObject({ drainAt: 2800, from: "option" });
  });
  it("is due at once when its time has passed or the option is longer than the job", () => {
    expect(drainPlan({ ...hour, now: 4500 })?.drainAt).toBe(4500);
    expect(drainPlan({ ...hour, drain: 99_999 })?.drainAt).toBe(1000);
    expect(drainPlan({ ...hour, now: 5000 })?.drainAt).toBe(5000);
  });
  it("leaves time for an orderly end", () => {
    expect(drainPlan({ ...hour, grace: 30 })?.leaveBy).toBe(4570);
    expect(drainPlan({ ...hour, end: 1060, grace: 30 })?.leaveBy).toBe(1055);
  });
  it("is off without an end, and with --drain 0", () => {
    expect(drainPlan({ ...hour, end: undefined })).toBeUndefined();
    expect(drainPlan({ ...hour, drain: 0 })).toBeUndefined();
  });
});
