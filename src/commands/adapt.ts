import { setTimeout as sleep } from "node:timers/promises";
import { openWorkerJobs, type WorkerJobs, type View } from "../batch/worker-jobs.ts";
import { growthPlan, type GrowthPlan, type JobSeen } from "../batch/growth.ts";
import { lockJobList } from "../batch/job-list.ts";
import { cannotRun } from "../batch/pending.ts";
import { commandShell } from "../batch/run.ts";
import { isCallFailure } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { signalNumber } from "../launcher/signals.ts";
import { count } from "../ui/ranges.ts";
import { clusterFileOf } from "./cluster-argument.ts";
import { optionLines, type CommandOption } from "../config/command-line.ts";
import { growthOptions, readGrowthLine, workerJob } from "./growth-options.ts";
import { jobsFailed, jobsText, leftText, pendingWatch, sayer } from "./scale.ts";
import type { CommandPlace } from "./script.ts";
import { duration, flag, integer, show } from "../config/values.ts";

const option = <T>(spec: CommandOption<T>): CommandOption<T> => spec;

export const adaptOptions = {
  min: option({ value: "<n>", read: integer(0, 1_000_000), help: "fewest workers [0]" }),
  max: option({ value: "<n>", read: integer(1, 1_000_000), help: "most workers; needed" }),
  interval: option({ value: "<time>", read: duration("positive"), help: "how often the cluster is looked at [5s]" }),
  waitCount: option({ value: "<n>", read: integer(1, 1000), help: "retire a job after it was idle so many times [3]" }),
  targetDuration: option({
    value: "<time>",
    read: duration("positive"),
    help: "how long the waiting work may take: less asks for more workers [Dask's: 5s]",
  }),
  keep: option({ read: flag, help: "on Ctrl-C or SIGTERM, leave the worker jobs running" }),
  ...growthOptions,
};

/** After so many looks in a row without an answer, the scheduler is taken for ended. */
const missedLooks = 3;
/** After so many jobs in a row that ended before joining, adapt gives up. */
const mostFailures = 3;

/** What adapt works with: the worker jobs, the words of its options, and a signal that ends it. */
export interface AdaptInput {
  readonly workers: WorkerJobs;
  readonly perJob: number;
  readonly min: number;
  readonly max: number;
  readonly interval: number;
  readonly waitCount: number;
  readonly targetDuration: number | undefined;
  readonly say: (text: string) => void;
  readonly ended: AbortSignal;
}

/**
 * `tsdask-mpi adapt --max N [scheduler.json]`: submits and cancels worker jobs as Dask's `adaptive_target` asks, until
 * the cluster ends (exit code 0) or a signal comes (128+n); then no job of its own is left. Throws as `scaleCommand`,
 * and TSD-097 when jobs fail again and again.
 */
export async function adaptCommand(argv: readonly string[], place: CommandPlace): Promise<number> {
  const { env, stdout, stderr } = place;
  const {
    said,
    words: [file, ...more],
    help,
  } = await readGrowthLine(argv, "tsdask-mpi adapt", adaptOptions, place);
  if (help) {
    stdout.write(usage());
    return 0;
  }
  if (more.length > 0)
    throw new Failure("TSD-006", {
      program: "tsdask-mpi adapt",
      problem: `${show(more[0])} is one word too many`,
      suggestion: "",
    });
  const { min = 0, max, interval = 5, waitCount = 3, targetDuration, keep = false, ...jobWords } = said;
  if (max === undefined)
    throw new Failure("TSD-006", {
      program: "tsdask-mpi adapt",
      problem: "--max is missing: it bounds what may be submitted",
      suggestion: "Write `tsdask-mpi adapt --max 20`. ",
    });
  if (min > max)
    throw new Failure("TSD-007", {
      options: "--min and --max",
      problem: `--min ${min} is more than --max ${max}.`,
      hint: "Give a --min that is no more than --max.",
    });
  const schedulerFile = await clusterFileOf(file, place);
  const say = sayer(stderr, said.group);

  await using job = await workerJob(jobWords, { schedulerFile, expected: max, place });
  if (job.group !== undefined && Object.keys(job.group.resources).length === 0)
    throw new Failure("TSD-202", { group: job.group.name });
  await using _lock = await lockJobList(job.listPath, "adapt");
  using signals = endingSignals();
  const workers = await openWorkerJobs({ ...job, schedulerFile, shell: commandShell({ env }) });
  say(`between ${min} and ${max} workers, in jobs of ${job.perJob} (${job.system}); Ctrl-C ends it.`);
  try {
    const how = await adapt({
      workers,
      perJob: job.perJob,
      min,
      max,
      interval,
      waitCount,
      targetDuration,
      say,
      ended: signals.ended,
    });
    if (how === "signal" && keep) return signals.code();
    if (how === "signal") await releaseAll(workers);
    const ids = await workers.cancelAll();
    say(
      `${how === "signal" ? "ended by a signal" : "the cluster has ended"}${ids.length === 0 ? "" : `; ${jobsText(ids)} cancelled`}.`,
    );
    return how === "signal" ? signals.code() : 0;
  } catch (error) {
    await workers.cancelAll();
    throw error;
  }
}

/**
 * Looks and acts until the cluster ends or `ended` fires. Throws Failure TSD-090 to TSD-097, and TSD-141 for jobs that
 * can never run.
 */
export async function adapt(input: AdaptInput): Promise<"cluster" | "signal"> {
  const { workers, perJob, min, max, interval, waitCount, targetDuration, say, ended } = input;
  const idle = new Map<string, number>();
  let missed = 0;
  /** When the scheduler was last seen (ms), and until when one that was started again is left alone. */
  let lastSeen = performance.now();
  let settles = 0;
  /** Set once it was said that the cluster is suspended. */
  let stopped = false;
  let failures: string[] = [];
  /** What was said once and is not said again. */
  const told = new Set<string>();
  const sayOnce = (text: string): void => {
    if (!told.has(text)) say(text);
    told.add(text);
  };
  const reasons = pendingWatch(workers, say);
  while (!ended.aborted) {
    const seen = await lookedAt(workers, targetDuration);
    if (seen === undefined) {
      missed += 1;
      const patience = workers.schedulerReturns ? deadlines.schedulerBack : 0;
      const over = missed >= missedLooks && performance.now() - lastSeen >= patience;
      if (!(await workers.sameCluster())) return "cluster";
      if (over && !(await workers.suspended())) return "cluster";
      if (over && !stopped) say("the cluster's job is suspended; its worker jobs stay, and it is waited for.");
      stopped = over;
    } else {
      missed = 0;
      stopped = false;
      lastSeen = performance.now();
      const { view, wanted } = seen;
      if (view.schedulerIsNew) settles = lastSeen + deadlines.schedulerSettles;
      if (lastSeen < settles) {
        await sleep(interval * 1000, undefined, { signal: ended }).catch(ignoreAbort);
        continue;
      }
      failures =
        view.jobs.some(({ joined }) => joined) && view.failed.length === 0 ? [] : [...failures, ...view.failed];
      if (failures.length >= mostFailures) throw jobsFailed(failures);
      const stuck = cannotRun(await reasons(view), { limits: false });
      if (stuck !== undefined) throw stuck;
      const target = Math.min(max, Math.max(min, wanted));
      const plan = patient(
        growthPlan({
          target,
          others: view.others,
          jobs: view.jobs,
          perJob: Math.min(perJob, Math.max(1, max)),
          busyToo: false,
        }),
        idle,
        waitCount,
      );
      await act({ workers, plan, view, target, perJob, max, say, sayOnce });
    }
    await sleep(interval * 1000, undefined, { signal: ended }).catch(ignoreAbort);
  }
  return "signal";
}

async function lookedAt(
  workers: WorkerJobs,
  targetDuration: number | undefined,
): Promise<{ readonly view: View; readonly wanted: number } | undefined> {
  try {
    return { view: await workers.look(), wanted: await workers.adaptiveTarget(targetDuration) };
  } catch (error) {
    if (isCallFailure(error)) return undefined;
    throw error;
  }
}

async function act({
  workers,
  plan,
  view,
  target,
  perJob,
  max,
  say,
  sayOnce,
}: {
  readonly workers: WorkerJobs;
  readonly plan: GrowthPlan;
  readonly view: View;
  readonly target: number;
  readonly perJob: number;
  readonly max: number;
  readonly say: (text: string) => void;
  readonly sayOnce: (text: string) => void;
}): Promise<void> {
  // Whole jobs only: the last one is left out when it would pass --max, unless the cluster would have no worker at all.
  const room = Math.floor(
    (max -
      view.others -
      view.jobs.reduce((sum, job) => sum + Math.max(job.workers.length, job.joined ? 0 : job.expected), 0)) /
      perJob,
  );
  const jobs = Math.min(plan.submit, Math.max(room, view.workers === 0 && view.jobs.length === 0 ? 1 : 0));
  if (jobs > 0) {
    await workers.expect(max);
    const ids = await workers.submit(jobs);
    say(`${wantedText(target, view.workers)}: ${jobsText(ids)} submitted.`);
  }
  if (jobs < plan.submit && perJob > 1)
    sayOnce(`no more jobs: each brings ${perJob} workers, and another one would pass --max ${max}.`);
  if (plan.retire.length + plan.cancel.length > 0) {
    const left = await workers.release(plan);
    if (left.length > 0) say(`${wantedText(target, view.workers)}: ${leftText(plan, left)}.`);
  }
}

function wantedText(target: number, workers: number): string {
  return `${count(target, "worker")} wanted, ${workers} in`;
}

/**
 * Keeps those jobs in the plan that were to leave at `waitCount` looks in a row; pending jobs too, since demand may
 * come back.
 */
function patient(plan: GrowthPlan, idle: Map<string, number>, waitCount: number): GrowthPlan {
  const leaving = new Set([...plan.retire, ...plan.cancel].map(({ id }) => id));
  for (const id of idle.keys()) if (!leaving.has(id)) idle.delete(id);
  for (const id of leaving) idle.set(id, (idle.get(id) ?? 0) + 1);
  const due = ({ id }: JobSeen): boolean => (idle.get(id) ?? 0) >= waitCount;
  return { submit: plan.submit, retire: plan.retire.filter(due), cancel: plan.cancel.filter(due) };
}

/** On a signal the workers of our jobs are retired first, so that their results stay in the cluster. */
async function releaseAll(workers: WorkerJobs): Promise<void> {
  try {
    const { jobs } = await workers.look();
    await workers.release({
      retire: jobs.filter(({ workers }) => workers.length > 0),
      cancel: jobs.filter(({ workers }) => workers.length === 0),
    });
  } catch (error) {
    if (!isCallFailure(error)) throw error; // Without a scheduler there is nothing to move.
  }
}

function endingSignals(): Disposable & { readonly ended: AbortSignal; readonly code: () => number } {
  const controller = new AbortController();
  let code = 0;
  const listeners = (["SIGHUP", "SIGINT", "SIGTERM"] as const).map((name) => {
    const listener = (): void => {
      if (code !== 0) process.exit(128 + signalNumber(name));
      code = 128 + signalNumber(name);
      controller.abort();
    };
    process.on(name, listener);
    return [name, listener] as const;
  });
  return {
    ended: controller.signal,
    code: () => code,
    [Symbol.dispose]: () => {
      for (const [name, listener] of listeners) process.off(name, listener);
    },
  };
}

function ignoreAbort(error: unknown): void {
  if ((error as Error).name !== "AbortError") throw error;
}

function usage(): string {
  return [
    "Usage: tsdask-mpi adapt --max N [name | scheduler.json] [options]",
    "",
    "Submits and cancels worker jobs as the work in a running cluster asks for, until the cluster ends; then none of its jobs is left.",
    "Without a name or a file: the one that TSDASK_SCHEDULER_FILE names, else scheduler.json in this folder.",
    "  tsdask-mpi adapt --min 0 --max 40 --script workers.sh",
    "  tsdask-mpi adapt --group gpu --max 8 --script gpu-workers.sh",
    "",
    ...optionLines(adaptOptions),
    "",
  ].join("\n");
}
