import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Job } from "../../src/batch/system.ts";
import { watchWalltime } from "../../src/cluster/walltime.ts";
import type { Options } from "../../src/config/options.ts";
import { Failure } from "../../src/errors/failure.ts";
import type { Log } from "../../src/ui/log.ts";

const log = { info: () => undefined } as unknown as Log;
const start = Date.UTC(2026, 0, 1);

beforeEach(() => {
  vi.useFakeTimers({ now: start });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Case {
  readonly options?: Partial<Options>;
  readonly env?: NodeJS.ProcessEnv;
  readonly joined?: boolean;
  /** What the batch system says of the job's end when it is asked. */
  readonly ask?: (job: Job) => Promise<Job>;
  /** What happens on the way. */
  readonly meanwhile?: () => Promise<unknown>;
}

const day = 86_400;

/** The batch system tells an end so many seconds after the start. */
const ends =
  (after: number | undefined) =>
  async (job: Job): Promise<Job> => ({ ...job, ...(after === undefined ? {} : { endTime: start / 1000 + after }) });

/** After how many whole seconds a launch is to leave, looked at for 200 days; undefined: it stays. */
async function leavesAfter({
  options = {},
  env = {},
  joined = false,
  ask = async (job) => ({ ...job, endTime: Number(env["SLURM_JOB_END_TIME"]) }),
  meanwhile = async () => undefined,
}: Case): Promise<number | undefined> {
  let left: number | undefined;
  const stop = watchWalltime({
    options: { grace: 5, ...options } as Options,
    env,
    joined,
    log,
    ask,
    leave: () => (left ??= Math.round((Date.now() - start) / 1000)),
    warn: (failure) => expect.unreachable(failure.message),
  });
  await meanwhile();
  await vi.advanceTimersByTimeAsync(200 * day * 1000);
  stop();
  return left;
}

const slurm = { SLURM_JOB_ID: "7", SLURM_JOB_END_TIME: String(start / 1000 + 1000) };
const monthLong = { ...slurm, SLURM_JOB_END_TIME: String(start / 1000 + 30 * day) };

describe("when a launch leaves before its job ends", () => {
  test.each<[string, Case, number | undefined]>([
    ["nobody knows the end", {}, undefined],
    ["--walltime says it: the script is told a grace before", { options: { walltime: 1000 } }, 995],
    [
      "--walltime says it, to one that joined: its workers are drained",
      { options: { walltime: 1000 }, joined: true },
      900,
    ],
    ["--drain says how long before", { options: { walltime: 1000, drain: 30 }, joined: true }, 970],
    ["--drain 0 switches it off", { options: { walltime: 1000, drain: 0 } }, undefined],
    ["a short grace and a shorter drain", { options: { walltime: 1000, drain: 4 } }, 998],
    ["the batch system says it in the environment", { env: slurm, joined: true }, 900],
    ["--walltime comes before the batch system", { options: { walltime: 500 }, env: slurm }, 495],
    ["--lifetime-cluster alone", { options: { lifetimeCluster: 60 } }, 60],
    ["--lifetime-cluster before the walltime", { options: { lifetimeCluster: 60, walltime: 1000 } }, 60],
    ["the end is past already", { env: { ...slurm, SLURM_JOB_END_TIME: String(start / 1000 - 5) } }, 0],
    ["30 days, more than a timer of Node's takes", { options: { walltime: 30 * day } }, 30 * day - 5],
    ["the same by the batch system, to one that joined", { env: monthLong, joined: true }, 30 * day - 300],
    ["--lifetime-cluster of 100 days", { options: { lifetimeCluster: 100 * day } }, 100 * day],
    ["30 years", { options: { walltime: 1e9, lifetimeCluster: 1e9 } }, undefined],
  ])("%s", async (_, given, seconds) => {
    expect(await leavesAfter(given)).toBe(seconds);
  });

  const never = (): Promise<Job> => new Promise(() => undefined);
  test.each<[string, Case, number | undefined]>([
    ["its limit was raised", { env: slurm, ask: ends(5000) }, 4995],
    ["the same for one that joined, which is drained later", { env: slurm, ask: ends(5000), joined: true }, 4700],
    [
      "a past end of the environment's is an old one",
      { env: { ...slurm, SLURM_JOB_END_TIME: "5" }, ask: ends(60) },
      55,
    ],
    ["its limit was taken away", { env: slurm, ask: ends(undefined) }, undefined],
    ["a few seconds are none", { env: slurm, ask: ends(1004) }, 995],
    ["the batch system refuses to say", { env: slurm, ask: () => Promise.reject(new Error("away")) }, 995],
    ["the batch system does not answer in time", { env: slurm, ask: never }, 995],
    ["what --walltime says is not asked for", { options: { walltime: 1000 }, env: slurm, ask: ends(5000) }, 995],
  ])("where the end has moved by then: %s", async (_, given, seconds) => {
    expect(await leavesAfter(given)).toBe(seconds);
  });

  test("asks again each time that the end has moved", async () => {
    const told = [2000, 3000, 3000].map(ends);
    const ask = vi.fn((job: Job) => (told.shift() ?? never)(job));
    expect(await leavesAfter({ env: slurm, ask })).toBe(2995);
    expect(ask).toHaveBeenCalledTimes(3);
    expect(ask.mock.calls.map(([job]) => job.endTime)).toEqual([undefined, undefined, undefined]);
  });

  /** The job is suspended for an hour. Its clock runs on: a timer with so many seconds left is due as it resumes. */
  const suspendedAt = (seconds: number, left: number) => async (): Promise<void> => {
    await vi.advanceTimersByTimeAsync(seconds * 1000);
    vi.setSystemTime(Date.now() + (3600 - left) * 1000);
  };
  const movesWithIt = (job: Job): Promise<Job> => ends(Date.now() > start + 3_600_000 ? 4600 : 1000)(job);
  test.each([
    ["before it is asked", suspendedAt(500, 475)],
    ["after it was asked", suspendedAt(990, 5)],
  ])("does not leave at the old end of a job that was suspended %s", async (_, meanwhile) => {
    expect(await leavesAfter({ env: slurm, ask: movesWithIt, meanwhile })).toBe(4595);
  });

  test("leaves as a suspended job resumes whose end has not moved", async () => {
    const ask = vi.fn(ends(1000));
    expect(await leavesAfter({ env: slurm, ask, meanwhile: suspendedAt(990, 5) })).toBe(4590);
    expect(ask).toHaveBeenCalledTimes(2);
  });

  describe("a batch system that does not say the end", () => {
    const away = (): Promise<Job> =>
      Promise.reject(new Failure("TSD-092", { command: "qstat", seconds: 60, cure: "" }));

    /** Launches in a PBS job, whose batch system answers so at first, and goes on with the last of these. */
    async function asked(answers: readonly ((job: Job) => Promise<Job>)[]) {
      const times: number[] = [];
      const warnings: [number, string][] = [];
      let left: number | undefined;
      const since = (): number => Math.round((Date.now() - start) / 1000);
      const stop = watchWalltime({
        options: { grace: 5 } as Options,
        env: { PBS_JOBID: "7.pbs" },
        joined: false,
        log,
        leave: () => (left ??= since()),
        warn: ({ code }) => warnings.push([since(), code]),
        ask: (job) => (answers[Math.min(times.push(since()), answers.length) - 1] ?? away)(job),
      });
      await vi.advanceTimersByTimeAsync(day * 1000);
      stop();
      return { times, warnings, left };
    }

    test("is asked again without a word, and the end is kept", async () => {
      expect(await asked([away, ends(1000)])).toEqual({ times: [3, 33, 975], warnings: [], left: 995 });
    });

    test("is told with its second failure: TSD-063; a later answer counts", async () => {
      expect(await asked([away, away, away, ends(1000)])).toEqual({
        times: [3, 33, 153, 633, 975],
        warnings: [[33, "TSD-063"]],
        left: 995,
      });
    });

    test("is asked four times", async () => {
      const { times, warnings, left } = await asked([away]);
      expect({ times, warnings, left }).toEqual({
        times: [3, 33, 153, 633],
        warnings: [[33, "TSD-063"]],
        left: undefined,
      });
    });
  });

  test("is not known where the batch system's command is missing: TSD-063, and the launch goes on", async () => {
    const warnings: Failure[] = [];
    const stop = watchWalltime({
      options: { grace: 5 } as Options,
      env: { SLURM_JOB_ID: "7", PATH: "/nowhere" },
      joined: false,
      log,
      leave: () => expect.unreachable(),
      warn: (failure) => warnings.push(failure),
    });
    await vi.advanceTimersByTimeAsync(60_000);
    vi.useRealTimers();
    await expect.poll(() => warnings.map(({ code, exitCode }) => [code, exitCode])).toEqual([["TSD-063", 0]]);
    stop();
  });

  test("nobody asks for the end with --drain 0", async () => {
    const ask = vi.fn(ends(1000));
    expect(await leavesAfter({ options: { drain: 0 }, env: { PBS_JOBID: "7.pbs" }, ask })).toBeUndefined();
    expect(ask).not.toHaveBeenCalled();
  });

  test("nothing is left to do when it has stopped to watch", () => {
    const stop = watchWalltime({
      options: { grace: 5, walltime: 10, lifetimeCluster: 10 } as Options,
      env: {},
      joined: false,
      log,
      leave: () => expect.unreachable(),
      warn: () => expect.unreachable(),
    });
    stop();
    expect(vi.getTimerCount()).toBe(0);
  });
});
