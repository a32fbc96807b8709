import { describe, expect, it } from "vitest";
import { comesBack, firstIn, growthPlan, isOfJob, stillArrives, type JobSeen } from "../../src/batch/growth.ts";

const worker = (name: string, busy = 0, bytes = 0) => ({ address: `tcp://${name}`, name, busy, bytes });
const running = (id: string, ...workers: ReturnType<typeof worker>[]): JobSeen => ({
  id,
  state: "running",
  expected: 2,
  joined: true,
  workers,
});
const pending = (id: string): JobSeen => ({ id, state: "pending", expected: 2, joined: false, workers: [] });
const ids = (jobs: readonly JobSeen[]): string[] => jobs.map(({ id }) => id);

describe("growing", () => {
  it("submits whole jobs, rounded up", () => {
    expect(growthPlan({ target: 5, others: 0, jobs: [], perJob: 2, busyToo: true }).submit).toBe(3);
    expect(growthPlan({ target: 5, others: 1, jobs: [], perJob: 2, busyToo: true }).submit).toBe(2);
  });
  it("counts pending jobs in, so that a slow queue is not asked twice", () => {
    expect(growthPlan({ target: 5, others: 1, jobs: [pending("1"), pending("2")], perJob: 2, busyToo: true })).toEqual({
      submit: 0,
      retire: [],
      cancel: [],
    });
  });
  it("counts a job in that was preempted and waits in the queue again", () => {
    const jobs: JobSeen[] = [{ ...pending("1"), joined: true }];
    expect(growthPlan({ target: 2, others: 0, jobs, perJob: 2, busyToo: true }).submit).toBe(0);
  });
  it("counts a job in that ran and is ending untold, until it is in the queue again or over", () => {
    const ending: JobSeen = { ...running("1"), state: "ending", settling: true };
    expect(growthPlan({ target: 2, others: 0, jobs: [ending], perJob: 2, busyToo: true }).submit).toBe(0);
    expect(growthPlan({ target: 0, others: 0, jobs: [ending], perJob: 2, busyToo: true })).toMatchObject({
      retire: [],
      cancel: [],
    });
  });
  it("counts a job in whose workers come back to a scheduler that was started again", () => {
    const jobs: JobSeen[] = [
      { ...running("1"), returning: true },
      { ...running("2", worker("a")), returning: true },
    ];
    expect(growthPlan({ target: 4, others: 0, jobs, perJob: 2, busyToo: true }).submit).toBe(0);
    expect(growthPlan({ target: 5, others: 0, jobs, perJob: 2, busyToo: true }).submit).toBe(1);
  });
  it.each([
    [{}, 10, true],
    [{ workers: [worker("a")] }, 10, true],
    [{ workers: [worker("a"), worker("b")] }, 10, false],
    // The scheduler's clock may be a little ahead, the scheduler have been there for long, the job be a newer one.
    [{}, -2, true],
    [{}, 15, false],
    [{}, -100, false],
    [{ submitted: 1001 }, 10, false],
    [{ joined: false }, 10, false],
    [{ state: "pending" as const }, 10, false],
  ])("workers of a job with %j come back %i s after the scheduler's start: %s", (job, after, expected) => {
    const seen = { ...running("1"), submitted: 900, ...job };
    expect(comesBack(seen, { started: 1000, now: 1000 + after })).toBe(expected);
  });
  it("counts a job in whose first worker came a moment ago, the others being on their way", () => {
    const jobs: JobSeen[] = [{ ...running("1", worker("a")), arriving: true }, running("2", worker("b"), worker("c"))];
    expect(growthPlan({ target: 4, others: 0, jobs, perJob: 2, busyToo: true }).submit).toBe(0);
    expect(growthPlan({ target: 5, others: 0, jobs, perJob: 2, busyToo: true }).submit).toBe(1);
  });
  it("lets a job go whose workers still arrive before one that has all of its own", () => {
    const jobs: JobSeen[] = [running("1", worker("a"), worker("b")), { ...running("2", worker("c")), arriving: true }];
    const { retire } = growthPlan({ target: 2, others: 0, jobs, perJob: 2, busyToo: true });
    expect(retire.map(({ id }) => id)).toEqual(["2"]);
  });
  it("remembers when a job's first worker came until all were in, and takes one that is missing then for lost", () => {
    const job = { joined: false, expected: 2 };
    expect(firstIn(job, { workers: 0, now: 100 })).toBeUndefined();
    expect(firstIn(job, { workers: 1, now: 100 })).toBe(100);
    expect(firstIn({ ...job, joined: true, firstIn: 100 }, { workers: 1, now: 110 })).toBe(100);
    expect(firstIn({ ...job, joined: true, firstIn: 100 }, { workers: 2, now: 110 })).toBeUndefined();
    expect(firstIn({ ...job, joined: true }, { workers: 1, now: 120 })).toBeUndefined();
    expect(stillArrives("running", 100, 110)).toBe(true);
    expect(stillArrives("running", 100, 130)).toBe(false);
    expect(stillArrives("ending", 100, 110)).toBe(false);
    expect(stillArrives("running", undefined, 110)).toBe(false);
  });
  it("counts a started job by the workers it still has, and one that is held or ending not at all", () => {
    const jobs: JobSeen[] = [
      running("1", worker("a")),
      { ...pending("2"), state: "held" },
      { ...running("3", worker("b")), state: "ending" },
    ];
    expect(growthPlan({ target: 3, others: 0, jobs, perJob: 2, busyToo: true }).submit).toBe(1);
  });
});

describe("shrinking", () => {
  it("cancels pending jobs first, then retires the idle one that holds least", () => {
    const jobs = [
      running("big", worker("a", 0, 900), worker("b")),
      running("small", worker("c", 0, 5), worker("d")),
      pending("later"),
    ];
    const once = growthPlan({ target: 4, others: 0, jobs, perJob: 2, busyToo: true });
    expect([ids(once.cancel), ids(once.retire)]).toEqual([["later"], []]);
    const twice = growthPlan({ target: 2, others: 0, jobs, perJob: 2, busyToo: true });
    expect([ids(twice.cancel), ids(twice.retire)]).toEqual([["later"], ["small"]]);
  });
  it("never leaves fewer workers than wanted: a job of two stays when only one is too many", () => {
    expect(
      growthPlan({ target: 1, others: 0, jobs: [running("1", worker("a"), worker("b"))], perJob: 2, busyToo: true })
        .retire,
    ).toEqual([]);
  });
  it("leaves busy workers alone when it follows the work, and takes them last when told a number", () => {
    const jobs = [
      running("busy", worker("a", 3), worker("b")),
      running("idle", worker("c", 0, 50), worker("d", 0, 50)),
    ];
    expect(ids(growthPlan({ target: 0, others: 0, jobs, perJob: 2, busyToo: false }).retire)).toEqual(["idle"]);
    expect(ids(growthPlan({ target: 2, others: 0, jobs, perJob: 2, busyToo: true }).retire)).toEqual(["idle"]);
    expect(ids(growthPlan({ target: 0, others: 0, jobs, perJob: 2, busyToo: true }).retire)).toEqual(["idle", "busy"]);
  });
  it("goes down to none, and leaves the workers it did not bring", () => {
    const plan = growthPlan({
      target: 0,
      others: 3,
      jobs: [running("1", worker("a")), pending("2")],
      perJob: 2,
      busyToo: true,
    });
    expect([ids(plan.cancel), ids(plan.retire), plan.submit]).toEqual([["2"], ["1"], 0]);
  });
  it("does nothing for a job that has started and lost all its workers", () => {
    expect(growthPlan({ target: 0, others: 0, jobs: [running("1")], perJob: 2, busyToo: true })).toEqual({
      submit: 0,
      retire: [],
      cancel: [],
    });
  });
});

it.each([
  ["tsdask-12-0", "12", true],
  ["tsdask-12_3-17", "12", true],
  ["my-name-12-0", "12", true],
  ["tsdask-112-0", "12", false],
  ["tsdask-3", "3", false],
  ["tsdask-dask-x7f2q-1", "dask-x7f2q", true],
  ["tsdask-12.4.pbs01-1", "12[].pbs01", true],
  ["tcp://10.0.0.1:1234", "1234", false],
])("the worker %s is of job %s: %s", (name, job, expected) => {
  expect(isOfJob(name, job)).toBe(expected);
});
