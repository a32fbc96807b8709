import { allWorkerJobs } from "./job-list-path.ts";

/**
 * Cancels the worker jobs that `scale` and `adapt` listed in a cluster's folder, for a cluster that ends or whose
 * remains are cleared away. Loads nothing where there are none. Resolves to what could not be done, in words: an end is
 * not held up by it.
 */
export async function endWorkerJobs(folder: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const paths = await allWorkerJobs(folder);
  if (paths.length === 0) return undefined;
  const [{ cancelListedJobs }, { refuseForeign }] = await Promise.all([import("./job-list.ts"), import("./mark.ts")]);
  const undone: string[] = [];
  for (const path of paths) {
    try {
      refuseForeign((await cancelListedJobs(path, env)).foreign, path);
    } catch (error) {
      undone.push(error instanceof Error ? error.message : String(error));
    }
  }
  return undone.length === 0 ? undefined : undone.join("\n");
}
