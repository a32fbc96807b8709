import { describeJob, inquireJob } from "../batch/job.ts";
import { drainPlan } from "../batch/drain.ts";
import type { Options } from "../config/options.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { callAfter } from "../timers.ts";
import type { Log } from "../ui/log.ts";

/**
 * Watches the job's time: from `--walltime`, else from what the batch system says of this job. `leave` is called once,
 * when the workers should be drained (a launch that joined) or the script told (one that has the scheduler, whose data
 * has nowhere to go). Returns how to stop watching. A batch system that does not answer is a warning (TSD-063), no
 * failure.
 */
export function watchWalltime({
  options,
  env,
  leave,
  joined,
  log,
  warn,
}: {
  readonly options: Options;
  readonly env: NodeJS.ProcessEnv;
  readonly leave: () => void;
  readonly joined: boolean;
  readonly log: Log;
  readonly warn: (failure: Failure) => void;
}): () => void {
  const started = Date.now() / 1000;
  let unwatch: (() => void) | undefined;
  const lifetimeOver = (): void => {
    log.info("the cluster's lifetime is over", { seconds: options.lifetimeCluster });
    leave();
  };
  const forget =
    options.lifetimeCluster === undefined
      ? undefined
      : callAfter(options.lifetimeCluster * 1000, lifetimeOver, { ref: false });
  const arm = (end: number | undefined, start: number): void => {
    const now = Date.now() / 1000;
    const plan = drainPlan({ now, end, drain: options.drain, started: start, grace: options.grace });
    if (plan === undefined) return;
    const at = joined ? plan.drainAt : plan.leaveBy;
    log.info("the job's end is known", { end, leaveAt: at, from: plan.from });
    unwatch = callAfter(Math.max(0, (at - now) * 1000), leave, { ref: false });
  };
  if (options.walltime !== undefined) arm(started + options.walltime, started);
  else {
    const job = describeJob(env);
    if (job.endTime !== undefined) arm(job.endTime, job.startTime ?? started);
    else if (job.jobId !== undefined && job.system !== "local") {
      const ask = (): void => {
        void askFor(env)
          .then(({ end, start }) => arm(end, start ?? started))
          .catch((error: unknown) =>
            warn(
              new Failure("TSD-063", {
                problem: error instanceof Failure ? (error.message.split("\n", 1)[0] ?? "") : String(error),
              }),
            ),
          );
      };
      unwatch = callAfter(deadlines.askBatchSystem, ask, { ref: false });
    }
  }
  return () => {
    unwatch?.();
    forget?.();
  };
}

async function askFor(
  env: NodeJS.ProcessEnv,
): Promise<{ readonly end: number | undefined; readonly start: number | undefined }> {
  const { commandShell } = await import("../batch/run.ts");
  const job = await inquireJob(describeJob(env), commandShell({ env }));
  return { end: job.endTime, start: job.startTime };
}
