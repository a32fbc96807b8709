import { cancelLists, endWorkerJobs } from "../batch/end-jobs.ts";
import { allWorkerJobs } from "../batch/job-list-path.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { pauseFor } from "../timers.ts";
import { said } from "../ui/banner.ts";
import { endText, howItEnded, type Ending } from "../ui/end.ts";
import { failureOf } from "../ui/failure-of.ts";
import { usageText } from "../ui/usage.ts";
import { deadClusterFolders, removeClusterFolder, removeFolder } from "./folder.ts";
import type { LaunchParts } from "./launch-hooks.ts";
import type { LaunchHooks } from "./launch.ts";
import type { EndOfLaunch } from "./state.ts";
import type { Summary, SummaryFacts } from "./summary.ts";

type EndHooks = Pick<LaunchHooks, "onEnd" | "finished">;

/** What is told at the end of a launch, and taken back: every file of it, its jobs, and its folder. */
export function endHooks(
  parts: LaunchParts & {
    /** The file of `--json-summary`. */
    readonly summary: Summary | undefined;
    /** The end of the job's time is not waited for any longer. */
    readonly stopWatching: () => void;
  },
): EndHooks {
  const { context, output, publication, register, report, session } = parts;
  const { folder, options } = context;
  let hostsToCome = false;
  const removeFolders = async (): Promise<void> => {
    await removeClusterFolder(folder);
    for (const dead of deadClusterFolders(folder, publication.replaced())) {
      await endWorkerJobs(dead.path, context.env);
      await removeFolder(dead);
    }
  };
  const leave = async (code: number): Promise<void> => {
    await output.log.close();
    context.finished(code);
  };
  /** What of the end fails is told, and keeps nothing of the rest from being done. */
  const step = async (what: () => Promise<void> | undefined): Promise<void> => {
    try {
      await what();
    } catch (error) {
      const { code, facts } = failureOf(error);
      output.failures.add({ code, facts });
      output.failures.flush();
    }
  };
  return {
    onEnd: async (ending, facts, jobsListed) => {
      // Where the hosts do not meet by the launcher, those to come look for rank 0 in its folder, longer than this
      // host's fork server lives; and the list of the jobs that are cancelled lies there.
      ({ hostsToCome } = facts);
      const lists = allWorkerJobs(folder);
      void lists.then(async ({ length }) => {
        if (length > 0) jobsListed();
        if (hostsToCome || length > 0) (await context.forkServer).disown([folder]);
      });
      // The scheduler is told to end at this moment, and a batch system may take longer than all that follows.
      const cancelled = step(() => endJobs(parts, lists));
      const told = parts.usage.whenTold(facts, patience(facts, context.options.grace));
      parts.stopWatching();
      session.progress?.stop();
      output.failures.flush();
      const seconds = ((session.scriptOver ?? performance.now()) - (session.scriptStarted ?? context.started)) / 1000;
      const log = options.logDir === undefined ? {} : { log: options.logDir };
      output.say(endText(ending, { seconds, workers: facts.workers, ...log }));
      await step(() => session.stopTargets?.());
      await step(publication.takeBack);
      const usage = await told;
      await step(() => tellUsage(parts, { ending, code: facts.code, seconds, usage, ...log }));
      await step(() => report?.end(ending, facts.code, usage));
      await step(() => register?.ended(howItEnded(ending), facts.code));
      await step(() => closeLog(parts, facts));
      await cancelled;
      if (!hostsToCome) await step(removeFolders);
    },
    finished: (code) => {
      if (hostsToCome) void step(removeFolders).then(() => leave(code));
      else void leave(code);
    },
  };
}

/**
 * How long (ms) is waited for what the workers and the scheduler were used for; no longer than the grace time (s),
 * after which they are killed.
 */
function patience({ inHaste }: EndOfLaunch, grace: number): number {
  return inHaste ? deadlines.usageInHaste : Math.max(deadlines.usageInHaste, Math.min(deadlines.usage, grace * 1000));
}

async function tellUsage(
  { context, output, summary }: LaunchParts & { readonly summary: Summary | undefined },
  facts: SummaryFacts & { readonly ending: Ending },
): Promise<void> {
  const text = usageText(facts.usage, facts.ending);
  if (text !== "") output.say(text);
  try {
    await summary?.end(facts);
  } catch (error) {
    const problem = error instanceof Failure ? error.facts["problem"] : error;
    output.failures.add({
      code: "TSD-116",
      facts: { path: context.options.jsonSummary, problem: String(problem) },
    });
    output.failures.flush();
  }
}

async function endJobs({ context, output }: LaunchParts, lists: Promise<readonly string[]>): Promise<void> {
  const over = new AbortController();
  const late = pauseFor(deadlines.jobsCancelled, over.signal).then(
    () => `the batch system took longer than ${deadlines.jobsCancelled / 1000} s`,
  );
  const problem = await Promise.race([lists.then((paths) => cancelLists(paths, context.env)), late]);
  over.abort();
  if (problem !== undefined)
    output.say(said(`the jobs that scale or adapt submitted could not all be cancelled: ${problem}`));
}

/**
 * A log in the cluster folder goes with it, and must not be opened after it; one of a launch that ended badly is kept.
 */
async function closeLog({ output }: LaunchParts, { code }: EndOfLaunch): Promise<void> {
  if (code !== 0) await output.log.keep?.();
  if (output.logIsOurs) await output.log.close();
}
