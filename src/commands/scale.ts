import { basename } from "node:path";
import { cancelListedJobs, lockJobList, readJobList, writeJobList } from "../batch/job-list.ts";
import { refuseForeign } from "../batch/mark.ts";
import { withGroups } from "../batch/job-list-path.ts";
import { openWorkerJobs, type WorkerJobs, type View } from "../batch/worker-jobs.ts";
import { BatchPatience, firstClause, firstLine, isBatchFailure } from "../batch/patience.ts";
import { cannotRun, pendingLines, type Pending } from "../batch/pending.ts";
import { countsFor, growthPlan, type GrowthPlan, type JobSeen } from "../batch/growth.ts";
import { commandShell } from "../batch/run.ts";
import { lineTrouble } from "../dask/comm.ts";
import { isCallFailure } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { pauseFor } from "../timers.ts";
import { count } from "../ui/ranges.ts";
import { durationText } from "../ui/format.ts";
import { clusterFileOf } from "./cluster-argument.ts";
import { optionLines, type CommandOption } from "../config/command-line.ts";
import { growthOptions, readGrowthLine, workerJob } from "./growth-options.ts";
import type { CommandPlace } from "./script.ts";
import { BadValue, duration, integer, show } from "../config/values.ts";

export const scaleOptions = {
  ...growthOptions,
  wait: {
    value: "<time>",
    read: duration("positive"),
    help: "wait until the workers are in, at most so long",
  } as CommandOption<number>,
};

const wholeNumber = integer(0, 1_000_000);
/** How often the scheduler is looked at while waiting, in ms. */
const lookEvery = 500;
/** How often the batch system is asked why jobs wait, in ms. */
const askEvery = 5_000;

/**
 * `tsdask-mpi scale N [scheduler.json]`: brings a cluster to N workers by submitting worker jobs, or by retiring those
 * of jobs that were submitted this way before and cancelling them. Resolves to the exit code: 0, or 69 when `--wait`
 * ran out. Throws what the command line (TSD-003, 006, 008), the cluster (TSD-023, 024, 073 to 078, 149), the batch
 * system (TSD-090 to 095) and the job list (TSD-072, TSD-097 to 099) throw.
 */
export async function scaleCommand(argv: readonly string[], place: CommandPlace): Promise<number> {
  const { env, stdout, stderr } = place;
  const {
    said: { wait, ...said },
    words: [word, file, ...more],
    help,
  } = await readGrowthLine(argv, "tsdask-mpi scale", scaleOptions, place);
  if (help || word === undefined) {
    (help ? stdout : stderr).write(usage());
    return help ? 0 : 64;
  }
  if (more.length > 0)
    throw new Failure("TSD-006", {
      program: "tsdask-mpi scale",
      problem: `${show(more[0])} is one word too many`,
      suggestion: "",
    });
  const target = numberOf(word, place);
  const schedulerFile = await clusterFileOf(file, place);
  const say = sayer(stderr, said.group);

  await using job = await workerJob(said, { schedulerFile, expected: target, place });
  await using _lock = await lockJobList(job.listPath, "scale");
  const workers = await openWorkerJobs({ ...job, schedulerFile, shell: commandShell({ env }) });
  let view: View;
  try {
    view = await workers.look();
  } catch (error) {
    // One that is there may be busy: its jobs' workers can only be retired when it answers.
    if (target === 0 && isCallFailure(error) && isUnreachable(error))
      return await cancelWithoutScheduler(workers.listPath, place, say);
    throw error;
  }
  const plan = growthPlan({ target, others: view.others, jobs: view.jobs, perJob: job.perJob, busyToo: true });
  if (plan.submit > 0) {
    await workers.expect(target);
    const ids = await submitted(workers, plan.submit, place, say);
    say(
      `${jobsText(ids)} submitted (${job.system}), for ${plan.submit * job.perJob} more ${plan.submit * job.perJob === 1 ? "worker" : "workers"}; ${view.workers} ${view.workers === 1 ? "is" : "are"} in.`,
    );
    const later = view.others + view.jobs.reduce((sum, one) => sum + countsFor(one), plan.submit * job.perJob);
    if (later > target) say(`a job brings ${job.perJob}: with them there will be ${later} workers, not ${target}.`);
    for (const id of ids) stdout.write(`${id}\n`);
  } else if (plan.retire.length + plan.cancel.length > 0) {
    const left = await workers.release(plan);
    say(`${leftText(plan, left)}.`);
    const stayed = plan.retire.map(({ id }) => id).filter((id) => !left.includes(id));
    if (stayed.length > 0) say(`${jobsText(stayed)} stayed: the results that its workers hold have no other place.`);
  } else {
    say(`nothing to do: ${count(view.workers, "worker")} ${view.workers === 1 ? "is" : "are"} in${pendingText(view)}.`);
    for (const line of pendingLines(await workers.pending(view))) say(`waits: ${line}`);
  }
  if (plan.submit === 0 && target < view.others)
    say(
      view.others === 1
        ? "1 worker was not brought by scale or adapt, and stays."
        : `${view.others} workers were not brought by scale or adapt, and stay.`,
    );
  return wait === undefined ? 0 : await waitFor({ workers, target, seconds: wait, say });
}

/** Submits so many jobs; where it fails, those that were taken before are told first. */
export async function submitted(
  workers: WorkerJobs,
  many: number,
  { stdout }: { readonly stdout: { readonly write: (text: string) => unknown } },
  say: (text: string) => void,
): Promise<readonly string[]> {
  const before = workers.listed();
  try {
    return await workers.submit(many);
  } catch (error) {
    const ids = workers.listed().filter((id) => !before.includes(id));
    if (ids.length > 0) say(`${jobsText(ids)} of ${many} submitted.`);
    for (const id of ids) stdout.write(`${id}\n`);
    throw error;
  }
}

/** Whether a job's workers are in; of one that has begun to bring them, those that are asked for are enough. */
const isIn = (job: JobSeen): boolean => job.arriving === true || countsFor(job) <= job.workers.length;

/**
 * Whether nothing was there that a scheduler could be asked at: the connection was refused, or there was no way to its
 * host. Where it came about, the scheduler may be busy.
 */
export const isUnreachable = (failure: Failure): boolean => lineTrouble(failure)?.stage === "connect";

/**
 * Waits until the workers are in; resolves to the exit code. A batch system that does not answer for a while is waited
 * for, too, and so is a scheduler that is there. Throws TSD-075 to TSD-078 when that one has gone or the time is over,
 * TSD-091 to TSD-095 when the batch system is away for too long, TSD-097 and TSD-141.
 */
export async function waitFor({
  workers,
  target,
  seconds,
  say,
}: {
  readonly workers: WorkerJobs;
  readonly target: number;
  readonly seconds: number;
  readonly say: (text: string) => void;
}): Promise<number> {
  const until = Date.now() + seconds * 1000;
  const reasons = pendingWatch(workers, say);
  const batch = new BatchPatience({ silence: deadlines.batchSilence, pause: deadlines.batchAgain });
  batch.begin();
  let busy = false;
  for (;;) {
    let view: View;
    try {
      view = await workers.look();
    } catch (error) {
      if (isCallFailure(error) && !isUnreachable(error)) {
        if (Date.now() > until) throw error;
        if (!busy) say(`${firstClause(error)}; it is asked again.`);
        busy = true;
        await pauseFor(askEvery);
        continue;
      }
      if (!isBatchFailure(error)) throw error;
      const jobs = workers.listed().length;
      const verdict = batch.failed("look", error, { now: performance.now(), jobs });
      if (verdict.givesUp || Date.now() > until) throw error;
      if (verdict.say !== undefined) say(verdict.say);
      await pauseFor(askEvery);
      continue;
    }
    const again = batch.done("look");
    if (again !== undefined) say(again);
    if (busy) say("the scheduler answers again.");
    busy = false;
    if (view.failed.length > 0) throw jobsFailed(view.failed);
    if (view.workers >= target && view.jobs.every(isIn)) {
      say(`${count(view.workers, "worker")} ${view.workers === 1 ? "is" : "are"} in.`);
      return 0;
    }
    const stuck = cannotRun(await reasons(view), { limits: true });
    if (stuck !== undefined) throw stuck;
    if (Date.now() > until) {
      say(`only ${view.workers} of ${target} workers are in after ${durationText(seconds)}${pendingText(view)}.`);
      return 69;
    }
    await pauseFor(lookEvery);
  }
}

/** Asks now and then why jobs wait, and says it when it is something new; returns what it was told last. */
export function pendingWatch(
  workers: Pick<WorkerJobs, "pending">,
  say: (text: string) => void,
): (view: View) => Promise<readonly Pending[]> {
  let asked = -Infinity;
  let last: readonly Pending[] = [];
  let said = "";
  return async (view) => {
    if (performance.now() - asked < askEvery) return last;
    last = await workers.pending(view);
    asked = performance.now();
    const lines = pendingLines(last);
    if (lines.length > 0 && lines.join() !== said) for (const line of lines) say(`waits: ${line}`);
    said = lines.join();
    return last;
  };
}

/** `2 jobs (12 13) left the cluster`, or of those that never were in it, `cancelled before they joined`. */
export function leftText({ cancel }: Pick<GrowthPlan, "cancel">, left: readonly string[]): string {
  const never = left.filter((id) => cancel.some((job) => job.id === id && !job.joined));
  const were = left.filter((id) => !never.includes(id));
  return [
    ...(were.length === 0 && never.length > 0 ? [] : [`${jobsText(were)} left the cluster`]),
    ...(never.length === 0 ? [] : [`${jobsText(never)} cancelled before any worker joined`]),
  ].join("; ");
}

/** Failure TSD-097 for jobs that ended before any worker of theirs joined. */
export function jobsFailed(ids: readonly string[]): Failure {
  return new Failure("TSD-097", {
    count: ids.length,
    jobs: ids.join(" "),
    output:
      "the batch system's output files in the folder they were submitted from; local jobs write into the cluster folder's log/",
  });
}

/** Says a line on stderr, of a group where one was named. */
export function sayer(stderr: CommandPlace["stderr"], group: string | undefined): (text: string) => void {
  const prefix = group === undefined ? "tsdask-mpi" : `tsdask-mpi: ${group}`;
  return (text) => void stderr.write(`${prefix}: ${text}\n`);
}

/**
 * Cancels the listed jobs of a cluster that is not there, those of its groups too where the list is that of all. A list
 * that another command works with is left to that one.
 */
async function cancelWithoutScheduler(
  listPath: string,
  { env }: CommandPlace,
  say: (text: string) => void,
): Promise<number> {
  const cancelled: string[] = [];
  const others: (() => void)[] = [];
  const kept: string[] = [];
  for (const path of await withGroups(listPath)) {
    // The lock of the list that was named is held already.
    const lock = path === listPath ? undefined : await lockUnlessTaken(path);
    if (lock instanceof Failure) {
      kept.push(`the jobs of group ${basename(path).replace("jobs-", "")} stay: ${firstLine(lock)}`);
      continue;
    }
    await using _lock = lock;
    const list = await readJobList(path);
    const { jobs, foreign } = await cancelListedJobs(path, env);
    cancelled.push(...jobs.filter((job) => !foreign.includes(job)).map(({ id }) => id));
    others.push(() => refuseForeign(foreign, path));
    await writeJobList(path, {
      ...list,
      jobs: list.jobs.filter(({ id }) => !jobs.some((job) => job.id === id)),
    });
  }
  say(
    `the scheduler does not answer; ${cancelled.length === 0 ? "no worker job was listed" : `${jobsText(cancelled)} cancelled`}.`,
  );
  for (const line of kept) say(line);
  for (const refuse of others) refuse();
  return 0;
}

/** The lock of a list, or Failure TSD-098 where another command has it. */
async function lockUnlessTaken(path: string): Promise<AsyncDisposable | Failure> {
  try {
    return await lockJobList(path, "scale");
  } catch (error) {
    if (error instanceof Failure && error.code === "TSD-098") return error;
    throw error;
  }
}

/** `3 jobs (12, 13, 14)`. */
export function jobsText(ids: readonly string[]): string {
  const shown = ids.length > 12 ? [...ids.slice(0, 10), "…", ids.at(-1)] : ids;
  return `${ids.length} ${ids.length === 1 ? "job" : "jobs"}${ids.length === 0 ? "" : ` (${shown.join(", ")})`}`;
}

/** `, 2 worker jobs are pending, 1 is held`; nothing where all run. */
function pendingText({ jobs }: View): string {
  const parts = (["pending", "held", "suspended"] as const).flatMap((state) => {
    const many = jobs.filter((job) => job.state === state).length;
    return many === 0 ? [] : [`${count(many, "worker job")} ${many === 1 ? "is" : "are"} ${state}`];
  });
  const back = jobs.filter(({ returning }) => returning === true).length;
  if (back > 0) parts.push(`workers of ${count(back, "job")} come back to the scheduler`);
  return parts.map((part) => `, ${part}`).join("");
}

function numberOf(word: string, { env, cwd }: CommandPlace): number {
  try {
    return wholeNumber(word, { cwd, home: "", env, variables: false });
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
    throw new Failure(
      "TSD-003",
      {
        option: "N",
        problem: error.message,
        value: show(word),
        source: "the command line",
        hint: "Write `tsdask-mpi scale 20`.",
      },
      { cause: error },
    );
  }
}

function usage(): string {
  return [
    "Usage: tsdask-mpi scale N [name | scheduler.json] [options]",
    "",
    "Brings a running cluster to N workers: submits worker jobs, or retires and cancels some of those it submitted. Workers of the cluster's",
    "own launch stay. Without a name or a file: the one that TSDASK_SCHEDULER_FILE names, else scheduler.json in this folder.",
    "  tsdask-mpi scale 20 --script workers.sh",
    "  tsdask-mpi scale 8 --ranks-per-node 4 --time 1h --wait 10m",
    "  tsdask-mpi scale 4 --group gpu",
    "  tsdask-mpi scale 0",
    "",
    ...optionLines(scaleOptions),
    "",
  ].join("\n");
}
