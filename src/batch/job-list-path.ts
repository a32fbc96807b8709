import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { groupName } from "../config/groups.ts";

const list = "jobs";

/** The list of worker jobs in a cluster's folder; without `.json`, which Dask would read as settings of its own. */
export function workerJobs(folder: string, group?: string): string {
  return join(folder, group === undefined ? list : `${list}-${group}`);
}

/**
 * All lists in a cluster's folder: that of the cluster, and those of its groups. Empty for a folder that is gone or
 * cannot be read.
 */
export async function allWorkerJobs(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter(isList).map((name) => join(folder, name));
}

/** A group's list is beside that of all: `jobs-gpu`; one that is being written, and locks, have other names. */
function isList(name: string): boolean {
  const group = `${list}-`;
  return name === list || (name.startsWith(group) && groupName.test(name.slice(group.length)));
}

/** This list and, where it is that of a cluster's folder, those of its groups. */
export async function withGroups(listPath: string): Promise<readonly string[]> {
  return basename(listPath) === list ? allWorkerJobs(dirname(listPath)) : [listPath];
}

/**
 * Where a cluster's worker jobs are listed: in its folder, or beside the scheduler file of a cluster that plain Dask
 * started.
 */
export function jobListPath(schedulerFile: string, folder: string | undefined, group?: string): string {
  return folder === undefined
    ? join(dirname(schedulerFile), `.${basename(schedulerFile)}.jobs`)
    : workerJobs(folder, group);
}
