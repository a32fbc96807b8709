import { lockJobList } from "../batch/job-list.ts";
import { firstClause, firstLine, isAway, isBatchFailure } from "../batch/patience.ts";
import { commandShell } from "../batch/run.ts";
import { openWorkerJobs, type WorkerJobs } from "../batch/worker-jobs.ts";
import { optionLines, type CommandOption } from "../config/command-line.ts";
import { duration, flag, integer, show } from "../config/values.ts";
import { isCallFailure } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { visible } from "../errors/visible.ts";
import { heardOf, signalNumber } from "../launcher/signals.ts";
import { pauseFor } from "../timers.ts";
import { adapt, type AdaptInput } from "./adapt-loop.ts";
import { clusterFileOf } from "./cluster-argument.ts";
import { growthOptions, readGrowthLine, workerJob } from "./growth-options.ts";
import { jobsText, sayer } from "./scale.ts";
import type { CommandPlace } from "./script.ts";

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

/**
 * `tsdask-mpi adapt --max N [scheduler.json]`: submits and cancels worker jobs as Dask's `adaptive_target` asks, until
 * the cluster ends (exit code 0) or a signal comes (128+n); then no job of its own is left. Throws as `scaleCommand`,
 * TSD-097 when jobs fail again and again, and TSD-141 for jobs that can never run.
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
  const how = await adaptAndEnd(
    { workers, perJob: job.perJob, min, max, interval, waitCount, targetDuration, say, ended: signals.ended },
    { keep, words: `${said.group === undefined ? "" : ` --group ${said.group}`} ${visible(schedulerFile)}` },
  );
  return how === "signal" ? signals.code() : 0;
}

/**
 * Follows the work until the cluster ends or a signal comes; then no job is left, unless they are to be kept. Where it
 * fails, the jobs that run are not to blame: they stay, which is said with the `words` that name this cluster. Only
 * those of a script that brings no workers go, in order. Those of a cluster that has ended are nobody else's any more:
 * where they cannot be cancelled, the batch system's own line is named.
 */
export async function adaptAndEnd(
  input: AdaptInput,
  { keep, words }: { readonly keep: boolean; readonly words: string },
): Promise<"cluster" | "signal"> {
  const { workers, say } = input;
  let how: "cluster" | "signal" | undefined;
  try {
    how = await adapt(input);
    if (how === "signal" && keep) return how;
    if (how === "signal") await releaseAll(workers);
    const ids = how === "signal" ? await workers.cancelAll() : await cancelPatiently(input);
    say(
      `${how === "signal" ? "stopped" : "the cluster has ended"}${ids.length === 0 ? "" : `; ${jobsText(ids)} cancelled`}.`,
    );
    return how;
  } catch (error) {
    if (error instanceof Failure && (error.code === "TSD-097" || error.code === "TSD-141")) {
      try {
        await releaseAll(workers);
        await workers.cancelAll();
      } catch (trouble) {
        if (!isBatchFailure(trouble)) throw trouble;
        say(firstLine(trouble));
      }
    }
    const ids = workers.listed();
    if (ids.length > 0 && how === "cluster") {
      const lines = workers.cancelLines().map((line) => `\`${line}\``);
      say(`the cluster has ended, and ${jobsText(ids)} could not be cancelled: ${lines.join(", ")}.`);
    } else if (ids.length > 0)
      say(
        `${jobsText(ids)} ${ids.length === 1 ? "stays, and ends" : "stay, and end"} with the cluster. \`tsdask-mpi adapt\` takes over what is there, \`tsdask-mpi scale 0${words}\` retires and cancels it.`,
      );
    throw error;
  }
}

/**
 * Cancels the jobs of a cluster that has ended. A batch system that is away is asked again, for as long as it may be
 * away, or until a signal comes.
 */
async function cancelPatiently({ workers, say, ended }: AdaptInput): Promise<readonly string[]> {
  const until = performance.now() + deadlines.batchSilence;
  for (let told = false; ; told = true) {
    try {
      return await workers.cancelAll();
    } catch (error) {
      if (!isBatchFailure(error) || !isAway(error) || performance.now() >= until || ended.aborted) throw error;
      if (!told) say(`the cluster has ended; ${firstClause(error)}; it is asked again to cancel the jobs.`);
      await pauseFor(deadlines.batchAgain, ended);
    }
  }
}

/** The workers of our jobs are retired before these are cancelled, so that their results stay in the cluster. */
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
  const listeners = heardOf(["SIGHUP", "SIGINT", "SIGTERM"]).map((name) => {
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
