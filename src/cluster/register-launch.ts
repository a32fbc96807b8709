import { join } from "node:path";
import { describeJob, namedJob, withSite } from "../batch/job.ts";
import type { Job } from "../batch/system.ts";
import { Failure } from "../errors/failure.ts";
import { visibleLine } from "../errors/visible.ts";
import type { FailureReport } from "../ui/failure-text.ts";
import { publicName } from "../registry/names.ts";
import { statePaths } from "../registry/place.ts";
import { registerCluster, type Register } from "../registry/register.ts";
import type { Options } from "../config/options.ts";
import type { World } from "../launcher/world.ts";
import type { Plan } from "./plan.ts";

interface Launching {
  readonly options: Options;
  readonly plan: Plan;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly folder: string;
  readonly world: World;
}

/**
 * Enters a launch into the user's list of clusters. A list that cannot be written is a warning (TSD-146), told once.
 */
export function registerLaunch(
  launch: string,
  { options, plan, env, cwd, folder, world }: Launching,
  warn: (failure: FailureReport) => void,
): Register {
  const job = describeJob(env);
  const known = publicName(options, launch);
  const ends = endOfTime(options, job, Date.now() / 1000);
  return registerCluster(
    {
      name: options.clusterName,
      launch,
      ranks: world.size,
      workers: plan.workerRanks.length,
      cwd,
      folder,
      security: options.security,
      job: withSite(namedJob(job), env),
      log: options.logDir ?? join(statePaths(env).logs, launch),
      grace: options.grace,
      ...scriptOf(whatRuns(options)),
      ...(ends === undefined ? {} : { ends }),
      ...(options.prometheusTargets === undefined ? {} : { targets: options.prometheusTargets }),
      ...(known === undefined ? {} : { public: known.name }),
    },
    {
      env,
      onProblem: (error) => {
        const { problem, path } =
          error instanceof Failure ? error.facts : { problem: String(error), path: statePaths(env).clusters };
        warn({ code: "TSD-146", facts: { problem: String(problem), path: String(path) } });
      },
    },
  );
}

/**
 * When the launch's time is over, in seconds since 1970: what `--walltime` says, counted from `started`, or the job's
 * own end.
 */
export function endOfTime({ walltime }: Pick<Options, "walltime">, job: Job, started: number): number | undefined {
  return walltime === undefined ? job.endTime : started + walltime;
}

/** What runs on the cluster: the script's file, or Jupyter's kind; undefined for a cluster that serves. */
export function whatRuns({ jupyter, script }: Pick<Options, "jupyter" | "script">): string | undefined {
  return jupyter === undefined ? script?.words[0] : `jupyter ${jupyter}`;
}

/** What runs on the cluster, without its arguments, which may hold what is nobody else's business. */
function scriptOf(text: string | undefined): { readonly script?: string } {
  return text === undefined ? {} : { script: visibleLine(text) };
}
