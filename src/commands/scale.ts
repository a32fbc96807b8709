import { setTimeout as sleep } from "node:timers/promises";
import { cancelListedJobs, lockJobList, readJobList, writeJobList } from "../batch/job-list.ts";
import { refuseForeign } from "../batch/mark.ts";
import { withGroups } from "../batch/job-list-path.ts";
import { openWorkerJobs, type WorkerJobs, type View } from "../batch/worker-jobs.ts";
import { cannotRun, pendingLines, type Pending } from "../batch/pending.ts";
import { countsFor, growthPlan, type GrowthPlan } from "../batch/growth.ts";
import { commandShell } from "../batch/run.ts";
import { isCallFailure } from "../dask/rpc.ts";
import { Failure } from "../errors/failure.ts";
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
 * ran out. Throws what the command line (TSD-003, 006, 008), the cluster (TSD-023, 024, 073 to 078), the batch system
 * (TSD-090 to 095) and the job list (TSD-097 to 099) throw.
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
    if (target === 0 && isCallFailure(error)) return await cancelWithoutScheduler(workers.listPath, place, say);
    throw error;
  }
  const plan = growthPlan({ target, others: view.others, jobs: view.jobs, perJob: job.perJob, busyToo: true });
  if (plan.submit > 0) {
    await workers.expect(target);
    const ids = await workers.submit(plan.submit);
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

async function waitFor({
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
  for (;;) {
    const view = await workers.look();
    if (view.failed.length > 0) throw jobsFailed(view.failed);
    if (view.workers >= target && view.jobs.every((job) => countsFor(job) <= job.workers.length)) {
      say(`${count(view.workers, "worker")} ${view.workers === 1 ? "is" : "are"} in.`);
      return 0;
    }
    const stuck = cannotRun(await reasons(view), { limits: true });
    if (stuck !== undefined) throw stuck;
    if (Date.now() > until) {
      say(`only ${view.workers} of ${target} workers are in after ${durationText(seconds)}${pendingText(view)}.`);
      return 69;
    }
    await sleep(lookEvery);
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

async function cancelWithoutScheduler(
  listPath: string,
  { env }: CommandPlace,
  say: (text: string) => void,
): Promise<number> {
  const cancelled: string[] = [];
  const others: (() => void)[] = [];
  for (const path of await withGroups(listPath)) {
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
  for (const refuse of others) refuse();
  return 0;
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
