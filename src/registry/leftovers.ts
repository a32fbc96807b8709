import { lstatSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { endWorkerJobs } from "../batch/end-jobs.ts";
import { batchSystem, isElsewhere } from "../batch/job.ts";
import { commandShell } from "../batch/run.ts";
import { removeSchedulerFile } from "../dask/scheduler-file.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { processOf } from "./ask.ts";
import type { ClusterEntry } from "./cluster-entry.ts";
import { fileSystemAnswers } from "./credentials.ts";
import { fields } from "./snapshot.ts";
import { removeTargetsFile } from "./targets-file.ts";

/**
 * Clears away what a cluster left that was killed with everything in it: the worker jobs it lists, its folder, its
 * scheduler.json, its list of targets for Prometheus, each only if it is still that launch's. Where its process lives,
 * or it is not known to have gone and `jobLeft` found its job, nothing is touched. Resolves to whether there was
 * anything. Never throws: what cannot be removed stays.
 */
export async function clearLeftovers(
  entry: ClusterEntry,
  { env, job }: { readonly env: NodeJS.ProcessEnv; readonly job: string | undefined },
): Promise<boolean> {
  let found = false;
  if (processOf(entry) ?? job !== undefined) return false;
  if (!(await fileSystemAnswers(entry.folder, { env, deadline: deadlines.connectCommand }))) return false;
  try {
    if (isOwnFolder(entry)) {
      found = true;
      await endWorkerJobs(entry.folder, env);
      await rm(entry.folder, { recursive: true, force: true });
    }
    if (entry.targets !== undefined && (await removeTargetsFile(entry.targets, entry))) found = true;
    if (entry.schedulerFile !== undefined && (await removeSchedulerFile(entry.schedulerFile, entry.launch)))
      found = true;
  } catch {
    // Its file system is not there, or not to be written now.
  }
  return found;
}

/**
 * The job of a cluster that was killed, where it is still in the queue: it may hold more than the cluster, so that it
 * is not ours to cancel.
 */
export async function jobLeft({ job, code, state }: ClusterEntry, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { system, id } = job;
  if (state !== "ended" || code !== undefined || id === undefined || system === "local") return undefined;
  try {
    const shell = commandShell({ env, deadline: deadlines.connectCommand });
    if (await isElsewhere(job, shell)) return undefined;
    const states = await batchSystem(system).states([id], shell);
    return ["running", "suspended", "pending", "held"].includes(states.get(id) ?? "gone")
      ? `${system} ${id}`
      : undefined;
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

/**
 * Whether the folder is a cluster's, ours, and still the one of this launch: another one with the same key may have
 * taken it over.
 */
function isOwnFolder({ folder, pid, startTime, state }: ClusterEntry): boolean {
  const about = lstatSync(folder, { throwIfNoEntry: false });
  if (state === "pending" || !/^\.tsdask-[0-9a-f]{16}$/.test(basename(folder))) return false;
  if (about === undefined || !about.isDirectory() || about.uid !== process.geteuid?.()) return false;
  const owner = fields(JSON.parse(readFileSync(join(folder, "owner"), "utf8")));
  return owner["pid"] === pid && owner["startTime"] === startTime;
}
