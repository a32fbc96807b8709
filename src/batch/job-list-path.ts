import { basename, dirname, join } from "node:path";

/** The list of worker jobs in a cluster's folder; without `.json`, which Dask would read as settings of its own. */
export function workerJobs(folder: string): string {
  return join(folder, "jobs");
}

/** Where a cluster's worker jobs are listed: in its folder, or beside the scheduler file of a cluster that plain Dask started. */
export function jobListPath(schedulerFile: string, folder: string | undefined): string {
  return folder === undefined ? join(dirname(schedulerFile), `.${basename(schedulerFile)}.jobs`) : workerJobs(folder);
}
