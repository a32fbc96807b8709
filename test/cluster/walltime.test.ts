import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { watchWalltime } from "../../src/cluster/walltime.ts";
import type { Options } from "../../src/config/options.ts";
import type { Failure } from "../../src/errors/failure.ts";
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
}

const day = 86_400;

/** After how many seconds a launch is to leave, looked at for 200 days; undefined: it stays. */
function leavesAfter({ options = {}, env = {}, joined = false }: Case): number | undefined {
  let left: number | undefined;
  const stop = watchWalltime({
    options: { grace: 5, ...options } as Options,
    env,
    joined,
    log,
    leave: () => (left ??= (Date.now() - start) / 1000),
    warn: (failure) => expect.unreachable(failure.message),
  });
  vi.advanceTimersByTime(200 * day * 1000);
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
  ])("%s", (_, given, seconds) => {
    expect(leavesAfter(given)).toBe(seconds);
  });

  test("is not known where the batch system does not answer: TSD-063, and the launch goes on", async () => {
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
