import { jobOf } from "../batch/describe.ts";
import { drainPlan } from "../batch/drain.ts";
import { describeJob, inquireJob } from "../batch/job.ts";
import { firstLine } from "../batch/patience.ts";
import type { Job } from "../batch/system.ts";
import type { Options } from "../config/options.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { callAfter, pauseFor } from "../timers.ts";
import type { Log } from "../ui/log.ts";

interface WalltimeInput {
  readonly options: Options;
  readonly env: NodeJS.ProcessEnv;
  readonly leave: () => void;
  readonly joined: boolean;
  readonly log: Log;
  readonly warn: (failure: Failure) => void;
  /** Asks the batch system about this job; each of its commands answers within so many milliseconds. */
  readonly ask?: (job: Job, env: NodeJS.ProcessEnv, deadline: number) => Promise<Job>;
}

/**
 * Watches the job's time: from `--walltime`, else from what the batch system says of this job. `leave` is called once,
 * when the workers should be drained (a launch that joined) or the script told (one that has the scheduler, whose data
 * has nowhere to go). Returns how to stop watching. A batch system that does not answer is asked again, and a warning
 * (TSD-063), no failure.
 */
export function watchWalltime(input: WalltimeInput): () => void {
  const { options, env, leave, log } = input;
  const lifetimeOver = (): void => {
    log.info("the cluster's lifetime is over", { seconds: options.lifetimeCluster });
    leave();
  };
  const forget =
    options.lifetimeCluster === undefined
      ? undefined
      : callAfter(options.lifetimeCluster * 1000, lifetimeOver, { ref: false });
  const watch = new JobEndWatch(input);
  if (options.walltime !== undefined) watch.leaveAfter(options.walltime);
  else if (options.drain !== 0) {
    const job = describeJob(env);
    if (job.jobId !== undefined && job.system !== "local") watch.follow(job);
  }
  return () => {
    watch.stop();
    forget?.();
  };
}

/** By so many seconds an end that is told again may differ, and a timer be late, without anything having happened. */
const jitter = 5;

/** So often a batch system that did not say when the job ends is asked again: after half a minute, two, and eight. */
const asksAgain = 3;

/** Leaves before the end of a job, which may move: its limit can be changed, and a suspended job has its time later. */
class JobEndWatch {
  readonly #input: WalltimeInput;
  readonly #ask: Required<WalltimeInput>["ask"];
  readonly #started = seconds();
  readonly #over = new AbortController();
  #unwatch: (() => void) | undefined;

  constructor(input: WalltimeInput) {
    this.#input = input;
    this.#ask = input.ask ?? askBatchSystem;
  }

  /** Leaves before so many seconds are over, whatever a batch system says. */
  leaveAfter(walltime: number): void {
    this.#arm({ endTime: this.#started + walltime }, (at) => this.#after(at - seconds(), this.#input.leave));
  }

  /** Leaves before the end that the job's environment tells, or else its batch system. */
  follow(job: Job): void {
    const questioned = jobOf({ ...job, endTime: undefined });
    if (job.endTime !== undefined) this.#leaveInTime(job, questioned);
    else this.#after(deadlines.askBatchSystem / 1000, () => void this.#learn(questioned));
  }

  stop(): void {
    this.#over.abort();
    this.#unwatch?.();
  }

  /** Servers are busiest when jobs start: one that fails to answer is asked again, and only its second failure told. */
  async #learn(job: Job, failures = 0): Promise<void> {
    try {
      this.#leaveInTime(await this.#ask(job, this.#input.env, deadlines.batchCommand), job);
    } catch (error) {
      if (this.#over.signal.aborted) return;
      const missing = error instanceof Failure && error.code === "TSD-091";
      const problem = error instanceof Failure ? firstLine(error) : String(error);
      if (missing || failures === 1) this.#input.warn(new Failure("TSD-063", { problem }));
      if (missing || failures === asksAgain) return;
      const pause = (deadlines.jobEndUnknown / 1000) * 4 ** failures;
      this.#after(pause, () => void this.#learn(job, failures + 1));
    }
  }

  /** The batch system is asked once more, so early that its answer is there when it is time to leave. */
  #leaveInTime(told: Job, job: Job): void {
    this.#arm(told, (at, end) =>
      this.#after(at - seconds() - deadlines.jobEndMoves / 1000, () => void this.#lookAgain(job, { at, end })),
    );
  }

  /** Leaves at `at` unless the end is later by now. Without an answer it is where it was. */
  async #lookAgain(job: Job, known: { readonly at: number; readonly end: number }): Promise<void> {
    const due = Math.max(known.at, seconds() + deadlines.jobEndMoves / 1000);
    const { signal } = this.#over;
    const told = await Promise.race([
      this.#ask(job, this.#input.env, deadlines.jobEndMoves).catch(() => undefined),
      pauseFor(deadlines.jobEndMoves, signal),
    ]);
    if (told !== undefined && (told.endTime ?? Infinity) > known.end + jitter) {
      this.#input.log.info("the job's end has moved", { from: known.end, to: told.endTime });
      this.#leaveInTime(told, job);
      return;
    }
    // The clock runs on while the job is suspended, which moves its end on most systems: what was told is old then.
    const leave = (): void => {
      if (seconds() > due + jitter) void this.#lookAgain(job, known);
      else this.#input.leave();
    };
    this.#after(known.at - seconds(), leave);
  }

  /** Does `act` with the time to leave, which there is where the job has an end. */
  #arm(
    { endTime: end, startTime = this.#started }: Pick<Job, "endTime" | "startTime">,
    act: (at: number, end: number) => void,
  ): void {
    const { drain, grace } = this.#input.options;
    const plan = drainPlan({ now: seconds(), end, drain, started: startTime, grace });
    if (plan === undefined || end === undefined) return;
    const at = this.#input.joined ? plan.drainAt : plan.leaveBy;
    this.#input.log.info("the job's end is known", { end, leaveAt: at, from: plan.from });
    act(at, end);
  }

  #after(wait: number, act: () => void): void {
    if (!this.#over.signal.aborted) this.#unwatch = callAfter(Math.max(0, wait * 1000), act, { ref: false });
  }
}

const seconds = (): number => Date.now() / 1000;

async function askBatchSystem(job: Job, env: NodeJS.ProcessEnv, deadline: number): Promise<Job> {
  const { commandShell } = await import("../batch/run.ts");
  return inquireJob(job, commandShell({ env, deadline }));
}
