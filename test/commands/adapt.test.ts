import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { JobSeen } from "../../src/batch/growth.ts";
import type { View, WorkerJobs } from "../../src/batch/worker-jobs.ts";
import { adaptAndEnd } from "../../src/commands/adapt.ts";
import { submitted, waitFor } from "../../src/commands/scale.ts";
import { Failure } from "../../src/errors/failure.ts";

const second = 1000;
const minute = 60 * second;
const noAnswer = new Failure("TSD-094", { system: "slurm", command: "squeue", words: "Socket timed out" });
const notCancelled = new Failure("TSD-095", {
  system: "slurm",
  jobs: "1 2",
  words: "no permission",
  line: "scancel 1 2",
});
const refused = new Failure("TSD-090", { system: "slurm", command: "sbatch", words: "QOSMaxSubmitJobPerUserLimit" });
const address = "tls://h:1";
const gone = new Failure("TSD-075", { address, problem: "nothing listens", stage: "connect", trouble: "refused" });
const noWay = new Failure("TSD-075", { address, problem: "no way", stage: "connect", trouble: "other" });
const silent = new Failure("TSD-075", { address, problem: "no answer", stage: "handshake", trouble: "silent" });
const error = new Failure("TSD-078", { address, op: "adaptive_target", problem: "KeyError" });
const lines = {
  away: "TSD-094 slurm did not answer squeue: Socket timed out; what runs stays, and it is asked again.",
  back: "the batch system answers again.",
  awayAtEnd:
    "the cluster has ended; TSD-094 slurm did not answer squeue: Socket timed out; it is asked again to cancel the jobs.",
  byHand: "the cluster has ended, and 2 jobs (1, 2) could not be cancelled: `scancel 1 2`.",
  silent: "TSD-075 tls://h:1 does not answer: no answer; what runs stays, and it is asked again.",
  answers: "the scheduler answers again.",
  stay: "2 jobs (1, 2) stay, and end with the cluster. `tsdask-mpi adapt` takes over what is there, `tsdask-mpi scale 0 s.json` retires and cancels it.",
};

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A cluster whose jobs run as soon as they are submitted; each of `fails` makes its request fail while it is set. */
class Cluster implements WorkerJobs {
  readonly schedulerFile = "s.json";
  readonly listPath = "jobs";
  schedulerReturns = false;
  readonly fails: Partial<Record<"expect" | "look" | "adaptiveTarget" | "submit" | "release" | "cancel", Failure>> = {};
  jobs: string[] = [];
  wanted = 2;
  same = true;
  isSuspended: boolean | undefined = false;
  returning = false;
  schedulerIsNew = false;
  readonly told: number[] = [];
  submissions = 0;
  readonly cancelled: string[] = [];
  readonly retired: string[] = [];
  #last = 0;

  async look(): Promise<View> {
    if (this.fails.look !== undefined) throw this.fails.look;
    const jobs = this.jobs.map(
      (id): JobSeen => ({
        ...({ id, state: "running", expected: 1, joined: true } as const),
        workers: this.returning ? [] : [{ address: `tls://h:${id}`, name: `tsdask-${id}-0`, busy: 0, bytes: 0 }],
        ...(this.returning ? { returning: true } : {}),
      }),
    );
    return {
      workers: this.returning ? 0 : jobs.length,
      others: 0,
      jobs,
      failed: [],
      schedulerIsNew: this.schedulerIsNew,
    };
  }
  listed = (): readonly string[] => this.jobs;
  sameCluster = async (): Promise<boolean> => this.same;
  suspended = async (): Promise<boolean | undefined> => this.isSuspended;
  async adaptiveTarget(): Promise<number> {
    if (this.fails.adaptiveTarget !== undefined) throw this.fails.adaptiveTarget;
    return this.wanted;
  }
  pending = async (): Promise<readonly []> => [];
  async expect(workers: number): Promise<void> {
    if (this.fails.expect !== undefined) throw this.fails.expect;
    this.told.push(workers);
  }
  async submit(count: number): Promise<readonly string[]> {
    this.submissions += 1;
    const ids: string[] = [];
    while (ids.length < count) {
      // The first of several is taken, as by a limit.
      if (this.fails.submit !== undefined && (this.jobs.length > 0 || count === 1)) throw this.fails.submit;
      this.#last += 1;
      ids.push(String(this.#last));
      this.jobs = [...this.jobs, String(this.#last)];
    }
    return ids;
  }
  async release({ retire, cancel }: Parameters<WorkerJobs["release"]>[0]): Promise<readonly string[]> {
    const ids = [...retire, ...cancel].map(({ id }) => id);
    this.retired.push(...ids);
    if (this.fails.release !== undefined) throw this.fails.release;
    this.jobs = this.jobs.filter((id) => !ids.includes(id));
    return ids;
  }
  async cancelAll(): Promise<readonly string[]> {
    if (this.fails.cancel !== undefined) throw this.fails.cancel;
    this.cancelled.push(...this.jobs);
    return this.jobs.splice(0);
  }
  cancelLines = (): readonly string[] => [`scancel ${this.jobs.join(" ")}`];
}

/** An adapt that has brought a cluster two jobs, unless it is to do so with troubles from the start. */
async function adapting(fails: Cluster["fails"] = {}, given: Partial<Cluster> = {}) {
  const cluster = Object.assign(new Cluster(), given);
  Object.assign(cluster.fails, fails);
  const said: string[] = [];
  const stop = new AbortController();
  const common = { workers: cluster, perJob: 1, min: 0, max: 10, interval: 5, waitCount: 3, targetDuration: undefined };
  const input = { ...common, say: (text: string) => void said.push(text), ended: stop.signal };
  let how: unknown;
  const over = adaptAndEnd(input, { keep: false, words: " s.json" }).then(
    (end) => (how = end),
    (error: unknown) => (how = error),
  );
  await vi.advanceTimersByTimeAsync(second);
  const now = said.splice(0);
  return { cluster, said, first: now, stop: () => stop.abort(), over, how: () => how };
}

const passes = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

describe("adapt, while the batch system does not answer", () => {
  test("skips its looks, says so once, and goes on where it was", async () => {
    const { cluster, said, first, how } = await adapting();
    expect(first).toEqual(["2 workers wanted, 0 in: 2 jobs (1, 2) submitted."]);
    cluster.fails.look = noAnswer;
    cluster.wanted = 3;
    await passes(20 * minute);
    expect(said).toEqual([lines.away]);
    delete cluster.fails.look;
    await passes(minute);
    expect(said.slice(1)).toEqual([lines.back, "3 workers wanted, 2 in: 1 job (3) submitted."]);
    expect([how(), cluster.cancelled, cluster.retired]).toEqual([undefined, [], []]);
  });

  test("gives up after half an hour, and leaves its jobs as they are", async () => {
    const { cluster, said, how } = await adapting();
    cluster.fails.look = noAnswer;
    await passes(29 * minute);
    expect(how()).toBeUndefined();
    await passes(2 * minute);
    expect(how()).toBe(noAnswer);
    expect([cluster.cancelled, cluster.retired, cluster.jobs]).toEqual([[], [], ["1", "2"]]);
    expect(said).toEqual([lines.away, lines.stay]);
  });

  test("and is ended by a signal, leaves its jobs, and says how they end", async () => {
    const { cluster, said, stop, over, how } = await adapting();
    cluster.fails.look = noAnswer;
    await passes(minute);
    stop();
    await over;
    expect([how(), cluster.cancelled, cluster.retired]).toEqual([noAnswer, [], []]);
    expect(said).toEqual([lines.away, lines.stay]);
  });

  test("begins, fails at once, and leaves the jobs that are there", async () => {
    const { cluster, first, how } = await adapting({ look: noAnswer }, { jobs: ["1", "2"] });
    expect([how(), cluster.cancelled]).toEqual([noAnswer, []]);
    expect(first).toEqual([lines.stay]);
  });

  test("tries to let jobs go again, after a minute", async () => {
    const { cluster, said, how } = await adapting();
    Object.assign(cluster.fails, { release: noAnswer });
    cluster.wanted = 0;
    await passes(50 * second);
    expect(cluster.retired).toEqual(["1", "2"]);
    delete cluster.fails.release;
    await passes(minute);
    expect([how(), cluster.retired, cluster.jobs]).toEqual([undefined, ["1", "2", "1", "2"], []]);
    expect(said).toEqual([lines.away, "0 workers wanted, 2 in: 2 jobs (1, 2) left the cluster."]);
  });
});

describe("adapt, when a job is refused", () => {
  test("fails at once where it is the first, and has nothing to leave", async () => {
    const { cluster, first, how } = await adapting({ submit: refused }, { wanted: 1 });
    expect([how(), first, cluster.submissions]).toEqual([refused, [], 1]);
  });

  test("goes on with those that were taken, and tries again once a minute", async () => {
    const { cluster, first, said, how } = await adapting({ submit: refused });
    const told = "TSD-090 slurm refused the job: QOSMaxSubmitJobPerUserLimit; what runs stays, and it is asked again.";
    expect(first).toEqual(["2 workers wanted, 0 in: 1 job (1) submitted.", told]);
    await passes(60 * minute);
    expect([how(), cluster.jobs, said]).toEqual([undefined, ["1"], []]);
    expect(cluster.submissions).toBeLessThanOrEqual(61);
    expect(cluster.submissions).toBeGreaterThan(50);
    delete cluster.fails.submit;
    await passes(2 * minute);
    expect(said).toEqual(["2 workers wanted, 1 in: 1 job (2) submitted."]);
  });
});

describe("adapt, when the cluster", () => {
  test("has gone with its folder while jobs are submitted, says what became of them and ends with it", async () => {
    const { cluster, said, how } = await adapting();
    const why = "its folder has gone; the job submitted a moment ago was cancelled";
    cluster.fails.submit = new Failure("TSD-149", { name: "s.json", why });
    cluster.wanted = 3;
    await passes(6 * second);
    expect([how(), cluster.cancelled]).toEqual(["cluster", ["1", "2"]]);
    expect(said[0]).toBe(`TSD-149 The cluster s.json is not running: ${why}.`);
  });

  test.each([
    ["has gone with its file", { same: false }, 11 * second],
    ["does not answer any more", {}, 16 * second],
    ["does not answer, nor does the batch system", { isSuspended: undefined }, 31 * minute],
  ])("%s, cancels its jobs", async (_, now, after) => {
    for (const failure of [gone, noWay]) {
      const { cluster, how } = await adapting();
      Object.assign(cluster, now);
      cluster.fails.look = failure;
      await passes(after);
      expect([how(), cluster.cancelled]).toEqual(["cluster", ["1", "2"]]);
    }
  });

  test("has gone with its file while it did not answer, cancels its jobs", async () => {
    const { cluster, how } = await adapting();
    cluster.fails.look = silent;
    await passes(minute);
    cluster.same = false;
    await passes(6 * second);
    expect([how(), cluster.cancelled]).toEqual(["cluster", ["1", "2"]]);
  });

  test.each([
    ["is too busy to answer", "look", silent, lines.silent],
    [
      "answers with an error",
      "adaptiveTarget",
      error,
      /^TSD-078 .*KeyError; what runs stays, and it is asked again\.$/,
    ],
  ] as const)("%s, leaves its jobs, and says so now and then", async (_, request, failure, words) => {
    const { cluster, said, how } = await adapting();
    cluster.fails[request] = failure;
    await passes(2 * minute);
    const told = typeof words === "string" ? words : expect.stringMatching(words);
    expect([how(), cluster.cancelled, cluster.retired, said]).toEqual([undefined, [], [], [told]]);
    await passes(23 * minute);
    expect(said).toEqual([told, told, told]);
    delete cluster.fails[request];
    cluster.wanted = 3;
    await passes(10 * second);
    expect(said.slice(3)).toEqual([lines.answers, "3 workers wanted, 2 in: 1 job (3) submitted."]);
  });

  test("has been too busy to answer for half an hour, gives up, and leaves its jobs", async () => {
    const { cluster, said, how } = await adapting();
    cluster.fails.look = silent;
    await passes(31 * minute);
    expect([how(), cluster.cancelled, cluster.jobs]).toEqual([silent, [], ["1", "2"]]);
    expect(said.at(-1)).toBe(lines.stay);
  });

  test("was busy, and dies, is waited for as long as one that dies at once", async () => {
    const { cluster, how } = await adapting({}, { schedulerReturns: true });
    cluster.fails.look = silent;
    await passes(5 * minute);
    cluster.fails.look = gone;
    await passes(50 * second);
    expect([how(), cluster.cancelled]).toEqual([undefined, []]);
    await passes(30 * second);
    expect([how(), cluster.cancelled]).toEqual(["cluster", ["1", "2"]]);
  });

  test.each([
    ["with its host", noWay],
    ["and its port is open", silent],
  ])("is suspended %s, waits for it", async (_, failure) => {
    const { cluster, said, how } = await adapting();
    Object.assign(cluster, { isSuspended: true });
    cluster.fails.look = failure;
    await passes(120 * minute);
    expect([how(), cluster.cancelled]).toEqual([undefined, []]);
    expect(said).toEqual(["the cluster's job is suspended; its worker jobs stay, and it is waited for."]);
  });

  test("and the batch system do not answer for a while, waits for both", async () => {
    const { cluster, said, how } = await adapting();
    cluster.isSuspended = undefined;
    cluster.fails.look = gone;
    await passes(20 * minute);
    delete cluster.fails.look;
    await passes(minute);
    expect([how(), cluster.cancelled]).toEqual([undefined, []]);
    expect(said).toEqual([
      "neither the scheduler nor the batch system answers; the worker jobs stay, and both are asked again.",
    ]);
  });

  test("has ended, and the batch system is away, asks that again", async () => {
    const { cluster, said, how } = await adapting();
    Object.assign(cluster.fails, { look: gone, cancel: noAnswer });
    cluster.same = false;
    await passes(20 * minute);
    expect([how(), said]).toEqual([undefined, [lines.awayAtEnd]]);
    delete cluster.fails.cancel;
    await passes(minute);
    expect([how(), cluster.cancelled]).toEqual(["cluster", ["1", "2"]]);
    expect(said.slice(1)).toEqual(["the cluster has ended; 2 jobs (1, 2) cancelled."]);
  });

  test.each([
    ["the batch system is away for half an hour", noAnswer, 32 * minute, [lines.awayAtEnd, lines.byHand]],
    ["the batch system does not cancel its jobs", notCancelled, 11 * second, [lines.byHand]],
  ])("has ended, and %s, says what cancels them", async (_, failure, after, words) => {
    const { cluster, said, how } = await adapting();
    Object.assign(cluster.fails, { look: gone, cancel: failure });
    cluster.same = false;
    await passes(after);
    expect([how(), said]).toEqual([failure, words]);
  });

  test("has ended, the batch system is away, and a signal comes, asks it no longer than that", async () => {
    const { cluster, said, stop, over, how } = await adapting();
    Object.assign(cluster.fails, { look: gone, cancel: noAnswer });
    cluster.same = false;
    await passes(minute);
    stop();
    await over;
    expect([how(), said]).toEqual([noAnswer, [lines.awayAtEnd, lines.byHand]]);
  });
});

test("adapt tells a scheduler that was started again how many workers may come, once it listens", async () => {
  const { cluster, how } = await adapting();
  expect(cluster.told).toEqual([10]);
  Object.assign(cluster, { schedulerIsNew: true });
  cluster.fails.expect = gone;
  await passes(5 * second);
  Object.assign(cluster, { schedulerIsNew: false });
  delete cluster.fails.expect;
  await passes(minute);
  expect([cluster.told, how()]).toEqual([[10, 10], undefined]);
});

test("adapt that begins while workers come back to their scheduler leaves their jobs as they are", async () => {
  const { cluster, said, first } = await adapting({}, { jobs: ["1", "2"], returning: true, wanted: 0 });
  await passes(minute);
  expect([cluster.jobs, cluster.submissions, first, said]).toEqual([["1", "2"], 0, [], []]);
  cluster.returning = false;
  await passes(minute);
  expect(cluster.retired).toEqual(["1", "2"]);
});

test("adapt that is ended by a signal retires its jobs' workers, and cancels them", async () => {
  const { cluster, said, stop, over, how } = await adapting();
  stop();
  await over;
  expect([how(), cluster.retired, cluster.jobs]).toEqual(["signal", ["1", "2"], []]);
  expect(said).toEqual(["stopped."]);
});

test("scale tells the jobs that were taken before one was refused", async () => {
  const cluster = new Cluster();
  cluster.fails.submit = refused;
  const said: string[] = [];
  const say = (text: string): void => void said.push(text);
  await expect(submitted(cluster, 3, { stdout: { write: say } }, say)).rejects.toBe(refused);
  expect(said).toEqual(["1 job (1) of 3 submitted.", "1\n"]);
});

describe("scale --wait", () => {
  async function waiting(seconds: number) {
    const cluster = new Cluster();
    cluster.jobs = ["1"];
    const said: string[] = [];
    let end: unknown;
    void waitFor({ workers: cluster, target: 2, seconds, say: (text) => void said.push(text) }).then(
      (code) => (end = code),
      (error: unknown) => (end = error),
    );
    await passes(second);
    return { cluster, said, end: () => end };
  }

  test("goes on waiting while the batch system does not answer", async () => {
    const { cluster, said, end } = await waiting(1200);
    cluster.fails.look = noAnswer;
    await passes(10 * minute);
    expect([end(), said]).toEqual([undefined, [lines.away]]);
    delete cluster.fails.look;
    cluster.jobs.push("2");
    await passes(10 * second);
    expect([end(), said.slice(1)]).toEqual([0, [lines.back, "2 workers are in."]]);
  });

  test("goes on waiting while the scheduler is too busy to answer", async () => {
    const { cluster, said, end } = await waiting(1200);
    cluster.fails.look = silent;
    await passes(10 * minute);
    expect([end(), said]).toEqual([undefined, ["TSD-075 tls://h:1 does not answer: no answer; it is asked again."]]);
    delete cluster.fails.look;
    cluster.jobs.push("2");
    await passes(10 * second);
    expect([end(), said.slice(1)]).toEqual([0, [lines.answers, "2 workers are in."]]);
  });

  test.each([
    ["at once where its cluster has ended", gone, 2 * second],
    ["when its time is over and the scheduler is still busy", silent, 3 * minute],
  ])("ends %s", async (_, failure, after) => {
    const { cluster, end } = await waiting(120);
    cluster.fails.look = failure;
    await passes(after);
    expect([end(), cluster.jobs]).toEqual([failure, ["1"]]);
  });

  test.each([
    ["when its time is over", 120, 3 * minute],
    ["after half an hour", 7200, 31 * minute],
  ])("ends with the batch system's own words %s", async (_, seconds, after) => {
    const { cluster, end } = await waiting(seconds);
    cluster.fails.look = noAnswer;
    await passes(after);
    expect([end(), cluster.jobs]).toEqual([noAnswer, ["1"]]);
  });
});
