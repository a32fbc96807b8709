import { resolve } from "node:path";

/** The scheduler.json that `connect`, `env` and the like mean: the one named, else that of TSDASK_SCHEDULER_FILE, else the one in this folder. */
export function clusterFileOf(
  word: string | undefined,
  { env, cwd }: { readonly env: NodeJS.ProcessEnv; readonly cwd: string },
): string {
  return resolve(cwd, word ?? (env["TSDASK_SCHEDULER_FILE"] || "scheduler.json"));
}
