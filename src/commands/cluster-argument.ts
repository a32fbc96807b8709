import { resolve } from "node:path";
import { Failure } from "../errors/failure.ts";

/**
 * The scheduler.json that `connect`, `env` and the like mean: that of the cluster of this name, the one at this path,
 * else that of TSDASK_SCHEDULER_FILE, else the one in this folder. Throws TSD-147 and TSD-148 (the name) and TSD-149
 * (it is not running).
 */
export async function clusterFileOf(
  word: string | undefined,
  { env, cwd }: { readonly env: NodeJS.ProcessEnv; readonly cwd: string },
): Promise<string> {
  const path = resolve(cwd, word ?? (env["TSDASK_SCHEDULER_FILE"] || "scheduler.json"));
  if (word === undefined || (await import("../registry/target.ts")).isPath(word, cwd)) return path;
  const { clusterNamed } = await import("../registry/find.ts");
  const { entry, state, why } = await clusterNamed(word, env);
  if (entry.schedulerFile !== undefined && state !== "ended") return entry.schedulerFile;
  throw new Failure("TSD-149", {
    name: word,
    why:
      state === "ended" ? (why ?? "it has ended") : state === "running" ? "it has no scheduler.json" : `it is ${state}`,
  });
}
