import { endWorkerJobs } from "../batch/end-jobs.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { said } from "../ui/banner.ts";
import { endText, howItEnded, type Ending } from "../ui/end.ts";
import { usageText } from "../ui/usage.ts";
import { deadClusterFolders, removeClusterFolder, removeFolder } from "./folder.ts";
import type { LaunchParts } from "./launch-hooks.ts";
import type { LaunchReport } from "./launch-report.ts";
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
  const { context, output, publication, register, session } = parts;
  const { folder, options } = context;
  let hostsToCome = false;
  const removeFolders = async (): Promise<void> => {
    await removeClusterFolder(folder);
    for (const dead of deadClusterFolders(folder, publication.replaced())) {
      await endWorkerJobs(dead.path, context.env);
      await removeFolder(dead);
    }
  };
  const leave = (code: number): void => {
    output.log.close();
    context.finished(code);
  };
  return {
    onEnd: async (ending, facts) => {
      // Where the hosts do not meet by the launcher, those to come look for rank 0 in its folder, longer than this
      // host's fork server lives.
      ({ hostsToCome } = facts);
      if (hostsToCome) void context.forkServer.then((server) => server.disown([folder]));
      const told = parts.usage.whenTold(facts, deadlines.usage);
      parts.stopWatching();
      session.progress?.stop();
      output.failures.flush();
      const seconds = ((session.scriptOver ?? performance.now()) - (session.scriptStarted ?? context.started)) / 1000;
      const log = options.logDir === undefined ? {} : { log: options.logDir };
      output.say(endText(ending, { seconds, workers: facts.workers, ...log }));
      await session.stopTargets?.();
      await publication.takeBack();
      const usage = await told;
      await tellUsage(parts, { ending, code: facts.code, seconds, usage, ...log });
      await writeReport(parts, ending, facts.code, usage);
      await register?.ended(howItEnded(ending), facts.code);
      await closeLog(parts, facts);
      const problem = await endWorkerJobs(folder, context.env);
      if (problem !== undefined)
        output.say(said(`the jobs that scale or adapt submitted could not all be cancelled: ${problem}`));
      if (!hostsToCome) await removeFolders();
    },
    finished: (code) => {
      if (hostsToCome) void removeFolders().finally(() => leave(code));
      else leave(code);
    },
  };
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

async function writeReport(
  { report, output }: LaunchParts,
  ...[ending, code, usage]: Parameters<LaunchReport["end"]>
): Promise<void> {
  try {
    await report?.end(ending, code, usage);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    output.failures.add({ code: error.code, facts: error.facts });
    output.failures.flush();
  }
}

/**
 * A log in the cluster folder goes with it, and must not be opened after it; one of a launch that ended badly is kept.
 */
async function closeLog({ output }: LaunchParts, { code }: EndOfLaunch): Promise<void> {
  if (code !== 0) await output.log.keep?.();
  if (output.logIsOurs) output.log.close();
}
