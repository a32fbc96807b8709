import { unlink } from "node:fs/promises";
import { callScheduler, isCallFailure, type SchedulerEndpoint } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { targetsFile } from "../registry/targets-file.ts";
import { writePrivateFile } from "../security/private-files.ts";

/** How often (ms) the workers are asked for: Prometheus reads a file again as soon as it has changed. */
const lookEvery = 10_000;
/** The same while workers come and go, as at the start. */
const lookSoon = 2_000;

export interface TargetsInput {
  readonly folder: string;
  readonly name: string;
  readonly launch: string;
  /** Where the scheduler serves its pages: `10.0.0.1:8787`. */
  readonly pages: string;
  readonly https: boolean;
  /** What opens the pages; null without security. */
  readonly token: string | null;
  readonly scheduler: SchedulerEndpoint;
  /** The file is there now: whoever outlives this process removes it. */
  readonly onFile: (path: string) => void;
  readonly onProblem: (problem: string, path: string) => void;
}

interface Group {
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The content of a file for Prometheus's `file_sd_configs`: scheduler and workers, and how their /metrics is reached.
 * Pure.
 */
export function targetGroups(
  { name, launch, pages, https, token }: Pick<TargetsInput, "name" | "launch" | "pages" | "https" | "token">,
  workers: readonly string[],
): readonly Group[] {
  const labels = {
    cluster: name,
    launch,
    __scheme__: https ? "https" : "http",
    // A label that begins with two underscores is not stored; this one becomes ?token= of each scrape.
    ...(token === null ? {} : { __param_token: token }),
  };
  return [
    { targets: [pages], labels: { ...labels, role: "scheduler" } },
    ...(workers.length === 0 ? [] : [{ targets: [...workers].toSorted(), labels: { ...labels, role: "worker" } }]),
  ];
}

/**
 * Keeps `tsdask-<name>-<launch>.json` in the folder that `--prometheus-targets` names, mode 0600 because it holds the
 * token, true while the launch runs. Returns what removes it. `onProblem` is told once when it cannot be written; a
 * scheduler that does not answer is asked again.
 */
export function keepTargets(input: TargetsInput): () => Promise<void> {
  const path = targetsFile(input.folder, input);
  let written = "";
  let told = false;
  let timer: NodeJS.Timeout | undefined;
  let busy = Promise.resolve();
  /** Whether there was something new. */
  const write = async (workers: readonly string[]): Promise<boolean> => {
    const text = `${JSON.stringify(targetGroups(input, workers), null, 1)}\n`;
    if (text === written) return workers.length === 0;
    await writePrivateFile(path, text);
    if (written === "") input.onFile(path);
    written = text;
    return true;
  };
  const look = async (): Promise<boolean> => {
    try {
      const found = await callScheduler(input.scheduler, "tsdask_targets", {}, { deadline: deadlines.connectCommand });
      return await write(Array.isArray(found) ? found.map(String) : []);
    } catch (error) {
      if (isCallFailure(error)) return false;
      if (!told) input.onProblem(error instanceof Failure ? String(error.facts["problem"]) : String(error), path);
      told = true;
      return false;
    }
  };
  const again = (delay: number): void => {
    timer = setTimeout(() => {
      busy = look().then((changing) => again(changing ? lookSoon : lookEvery));
    }, delay);
    timer.unref();
  };
  again(lookSoon);
  return async () => {
    clearTimeout(timer);
    await busy;
    clearTimeout(timer);
    await unlink(path).catch(() => undefined);
  };
}
