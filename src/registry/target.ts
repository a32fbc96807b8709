import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { readSchedulerFile } from "../dask/read-scheduler-file.ts";
import { Failure } from "../errors/failure.ts";
import { statsOf } from "../security/stats.ts";
import { ambiguous, clusterNamed, listClusters, type Listed } from "./find.ts";

interface Context {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/** What a command is about: a cluster of the user's list, a scheduler.json, or both. */
export type Target =
  | { readonly listed: Listed; readonly schedulerFile: string | undefined }
  | { readonly listed: undefined; readonly schedulerFile: string };

/** Whether a word is the path of a file, not a cluster's name: a folder of a cluster's name is often beside it. */
export function isPath(word: string, cwd: string): boolean {
  // `su ada` leaves a shell in the former user's folder, where nothing can be looked at.
  return word.includes("/") || word.endsWith(".json") || statsOf(resolve(cwd, word))?.isFile() === true;
}

/**
 * The cluster that a word means, its name or the path of its scheduler.json; without a word that of
 * TSDASK_SCHEDULER_FILE, else of this folder, else the only one that runs. Throws TSD-147 and TSD-148, and TSD-023 for
 * a file that is not there.
 */
export async function targetOf(word: string | undefined, { env, cwd }: Context): Promise<Target> {
  if (word !== undefined && !isPath(word, cwd)) {
    const listed = await clusterNamed(word, env);
    return { listed, schedulerFile: listed.entry.schedulerFile };
  }
  const path = resolve(cwd, word ?? (env["TSDASK_SCHEDULER_FILE"] || "scheduler.json"));
  if (word === undefined && !existsSync(path)) return onlyOne(env, cwd, path);
  const { tsdask } = await readSchedulerFile(path, "anyone");
  const [listed] = tsdask === undefined ? [] : await listClusters(env, ({ launch }) => launch === tsdask.launch);
  return listed === undefined ? { listed, schedulerFile: path } : { listed, schedulerFile: path };
}

/** Where there is no file and no word: the one cluster that runs, else the last one of this folder. */
async function onlyOne(env: NodeJS.ProcessEnv, cwd: string, path: string): Promise<Target> {
  const all = await listClusters(env);
  const live = all.filter(({ state }) => state !== "ended");
  const [one, ...more] = live.some(({ entry }) => entry.cwd === cwd)
    ? live.filter(({ entry }) => entry.cwd === cwd)
    : live;
  if (more.length > 0 && one !== undefined) throw ambiguous("nothing in particular", [one, ...more]);
  const found = one ?? all.find(({ entry }) => entry.cwd === cwd);
  if (found !== undefined) return { listed: found, schedulerFile: found.entry.schedulerFile };
  throw new Failure("TSD-147", {
    name: path,
    cause: "No name was given, there is no scheduler.json in this folder, and no cluster of yours runs.",
    suggestion: "",
  });
}
