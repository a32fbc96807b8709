import { existsSync } from "node:fs";
import { workerJobs } from "./job-list-path.ts";

/**
 * Cancels the worker jobs that `scale` and `adapt` listed in a cluster's folder, for a cluster that ends or whose remains are cleared away.
 * Loads nothing where there are none. Resolves to what could not be done, in words: an end is not held up by it.
 */
export async function endWorkerJobs(folder: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const path = workerJobs(folder);
  if (!existsSync(path)) return undefined;
  try {
    const [{ cancelListedJobs }, { refuseForeign }] = await Promise.all([import("./job-list.ts"), import("./mark.ts")]);
    refuseForeign((await cancelListedJobs(path, env)).foreign, path);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
