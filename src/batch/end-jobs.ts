import { deadlines } from "../deadlines.ts";
import { pauseFor } from "../timers.ts";
import { allWorkerJobs } from "./job-list-path.ts";

/**
 * Cancels the worker jobs that `scale` and `adapt` listed in a cluster's folder, for a cluster that ends or whose
 * remains are cleared away. Loads nothing where there are none. A batch system that is away is asked again for a
 * moment. Resolves to what could not be done, in words: an end is not held up by it.
 */
export async function endWorkerJobs(folder: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return await cancelLists(await allWorkerJobs(folder), env);
}

/** The same for the lists at these paths. */
export async function cancelLists(paths: readonly string[], env: NodeJS.ProcessEnv): Promise<string | undefined> {
  if (paths.length === 0) return undefined;
  const [{ cancelListedJobs }, { refuseForeign }, { isAway }] = await Promise.all([
    import("./job-list.ts"),
    import("./mark.ts"),
    import("./patience.ts"),
  ]);
  const until = performance.now() + deadlines.endAsksAgain;
  const end = async (path: string): Promise<void> => {
    try {
      refuseForeign((await cancelListedJobs(path, env)).foreign, path);
    } catch (error) {
      if (!isAway(error) || performance.now() > until) throw error;
      await pauseFor(deadlines.endPause);
      await end(path);
    }
  };
  const undone = await Promise.all(
    paths.map((path) =>
      end(path).then(
        () => [],
        (error: unknown) => [error instanceof Error ? error.message : String(error)],
      ),
    ),
  );
  return undone.flat().length === 0 ? undefined : undone.flat().join("\n");
}
