import { VERSION } from "../config/version.ts";
import { Failure } from "../errors/failure.ts";
import { outputProblem, writingProblem } from "../security/output-file.ts";
import { writePrivateFile } from "../security/private-files.ts";
import type { Ending } from "../ui/end.ts";
import { verdict, type Usage } from "../ui/usage.ts";

export interface SummaryFacts {
  readonly ending: Ending;
  readonly code: number;
  /** Seconds from the start of the script, or of the launch where there is none. */
  readonly seconds: number;
  readonly usage: Usage;
  readonly log?: string;
}

export interface Summary {
  /** Writes how the launch ended. Throws TSD-072. */
  readonly end: (facts: SummaryFacts) => Promise<void>;
}

/**
 * Writes the summary for programs with `"state": "running"` at once: an unusable path is found before anything is
 * started, an older launch's summary is not taken for this one's, and after a kill it says that nothing ended. Mode
 * 0600, each time as a whole; a symbolic link is not followed, and another user's file not replaced. Throws TSD-115.
 */
export async function openSummary(path: string, launch: string): Promise<Summary> {
  const problem = outputProblem(path);
  if (problem !== undefined) throw new Failure("TSD-115", { path, problem });
  const write = (content: Readonly<Record<string, unknown>>): Promise<void> =>
    writePrivateFile(path, `${JSON.stringify({ format: 1, version: VERSION, launch, ...content }, null, 2)}\n`);
  try {
    await write({ state: "running" });
  } catch (error) {
    throw new Failure("TSD-115", { path, problem: writingProblem(error) }, { cause: error });
  }
  return { end: (facts) => write(summaryOf(facts)) };
}

/**
 * The summary's content; seconds, bytes, and null for what is not known. `use`: all-workers, few-workers, no-task,
 * no-client, unknown.
 */
function summaryOf({ ending, code, seconds, usage, log }: SummaryFacts): Readonly<Record<string, unknown>> {
  const { scheduled, worked } = usage;
  return {
    state: "ended",
    ending,
    exit_code: code,
    seconds: Math.round(seconds * 1000) / 1000,
    use: verdict(usage),
    workers: usage.workers,
    restarts: usage.restarts,
    clients: scheduled?.clients ?? null,
    tasks: scheduled?.tasks ?? null,
    workers_with_tasks: scheduled?.used ?? null,
    spilled_bytes: scheduled?.spilled ?? null,
    threads: worked?.threads ?? null,
    cpu_seconds: worked === undefined ? null : Math.round(worked.cpu * 1000) / 1000,
    thread_seconds: worked === undefined ? null : Math.round(worked.threadSeconds * 1000) / 1000,
    peak_memory: worked === undefined || worked.peak === 0 ? null : worked.peak,
    memory_limit: worked === undefined || worked.limit === 0 ? null : worked.limit,
    log: log ?? null,
  };
}
