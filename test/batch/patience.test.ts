import { describe, expect, test } from "vitest";
import { BatchPatience, isAway, isBatchFailure, type Request } from "../../src/batch/patience.ts";
import { Failure } from "../../src/errors/failure.ts";

const minute = 60_000;
const noAnswer = new Failure("TSD-094", { system: "slurm", command: "squeue", words: "Socket timed out on send/recv" });
const tooSlow = new Failure("TSD-092", { command: "qstat", seconds: 60 });
const odd = new Failure("TSD-093", { system: "slurm", command: "sbatch", words: "hello" });
const missing = new Failure("TSD-091", { command: "sbatch" });
const refused = (words: string): Failure => new Failure("TSD-090", { system: "slurm", command: "sbatch", words });
const limit = refused("QOSMaxSubmitJobPerUserLimit");
const down = refused("sbatch: error: Batch job submission failed: Unable to contact slurm controller");
const notCancelled = new Failure("TSD-095", { system: "slurm", jobs: "12", words: "Kill job error" });

/** One that has begun, and maybe taken jobs. */
function patience({ begun = true, taken = false } = {}): BatchPatience {
  const made = new BatchPatience({ silence: 30 * minute, pause: minute });
  if (begun) made.begin();
  if (taken) made.taken();
  return made;
}

test("which failures are the batch system's, and which are no answer", () => {
  const all = [limit, missing, tooSlow, odd, noAnswer, notCancelled];
  expect(all.map(isBatchFailure)).toEqual([true, true, true, true, true, true]);
  const others = [new Failure("TSD-097", {}), new Failure("TSD-075", {}), new Failure("TSD-096", {}), new Error("no")];
  expect(others.some(isBatchFailure)).toBe(false);
  expect([...all, down, ...others].filter(isAway)).toEqual([tooSlow, noAnswer, down]);
  expect(isAway(refused("sbatch: error: Socket timed out on send/recv operation"))).toBe(true);
});

describe("questions that are not answered", () => {
  test("are asked again for so long; it is said once, and once that there is an answer again", () => {
    const batch = patience();
    const asked = (failure: Failure, at: number) => batch.failed("look", failure, { now: at * minute, jobs: 3 });
    expect(asked(noAnswer, 0)).toEqual({
      givesUp: false,
      say: "TSD-094 slurm did not answer squeue: Socket timed out on send/recv; what runs stays, and it is asked again.",
    });
    expect(asked(tooSlow, 10)).toEqual({ givesUp: false, say: undefined });
    expect(asked(noAnswer, 29)).toEqual({ givesUp: false, say: undefined });
    expect(batch.done("look")).toBe("the batch system answers again.");
    expect(batch.done("look")).toBeUndefined();
    expect(asked(tooSlow, 31).say).toBe(
      "TSD-092 qstat did not answer within 60 s; what runs stays, and it is asked again.",
    );
    expect(asked(tooSlow, 60).givesUp).toBe(false);
    expect(asked(tooSlow, 61)).toEqual({ givesUp: true, say: undefined });
  });

  test("are asked as often as before", () => {
    const batch = patience();
    batch.failed("look", noAnswer, { now: 0, jobs: 0 });
    expect(batch.may("look", 1)).toBe(true);
  });
});

test.each<[string, Request, Failure]>([
  ["a question", "look", noAnswer],
  ["a job that a limit forbids", "submit", limit],
  ["a job, while the server is down", "submit", down],
  ["an end", "release", notCancelled],
])("what fails at the start is wrong: %s", (_, request, failure) => {
  expect(patience({ begun: false }).failed(request, failure, { now: 0, jobs: 0 }).givesUp).toBe(true);
});

describe("jobs that are not taken", () => {
  test.each<[string, { begun?: boolean; taken?: boolean }, Failure, number, boolean]>([
    ["the first one, refused after hours without work", {}, limit, 0, true],
    ["the first one, by a command that is not there", {}, missing, 0, true],
    ["the first one, while the server restarts", {}, down, 0, false],
    ["the first one, while the server is slow", {}, tooSlow, 0, false],
    ["by a limit, where jobs run that were there before", {}, limit, 2, false],
    ["by a limit, after others were taken", { taken: true }, limit, 0, false],
    ["some of the very first ones", { begun: false, taken: true }, limit, 5, false],
    ["an answer without a number, which may be a job", { taken: true }, odd, 2, true],
  ])("%s", (_, so, failure, jobs, givesUp) => {
    expect(patience(so).failed("submit", failure, { now: 0, jobs }).givesUp).toBe(givesUp);
  });

  test("are tried again after a pause, and told of once", () => {
    const batch = patience({ taken: true });
    expect(batch.failed("submit", limit, { now: 0, jobs: 1 }).say).toMatch(
      /^TSD-090 slurm refused the job: QOSMax.*; what runs stays, and it is asked again\.$/,
    );
    expect([59_999, 60_000].map((now) => batch.may("submit", now))).toEqual([false, true]);
    expect(batch.failed("submit", limit, { now: minute, jobs: 1 }).say).toBeUndefined();
    expect(batch.done("submit")).toBeUndefined();
    expect(batch.may("submit", minute + 1)).toBe(true);
    expect(batch.failed("submit", limit, { now: 2 * minute, jobs: 1 }).say).toContain("TSD-090");
  });

  test("do not end what looks after others; patience ends so long after the last of these", () => {
    const batch = patience({ taken: true });
    const refusedAt = (at: number, jobs: number): boolean =>
      batch.failed("submit", limit, { now: at * minute, jobs }).givesUp;
    expect([0, 40, 600].map((at) => refusedAt(at, 1))).toEqual([false, false, false]);
    expect([601, 629, 630].map((at) => refusedAt(at, 0))).toEqual([false, false, true]);
  });

  test("patience begins anew when none was wanted for a while", () => {
    const batch = patience({ taken: true });
    batch.failed("submit", limit, { now: 0, jobs: 0 });
    batch.needless("submit");
    expect(batch.failed("submit", limit, { now: 60 * minute, jobs: 0 }).givesUp).toBe(false);
  });
});

test("jobs that are not cancelled are tried again without an end, after a pause", () => {
  const batch = patience();
  const failedAt = (now: number) => batch.failed("release", notCancelled, { now, jobs: 1 });
  expect(failedAt(0)).toMatchObject({ givesUp: false, say: expect.stringContaining("TSD-095") });
  expect(batch.may("release", minute - 1)).toBe(false);
  expect(failedAt(600 * minute)).toEqual({ givesUp: false, say: undefined });
});
