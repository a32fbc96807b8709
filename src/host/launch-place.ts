import { join } from "node:path";
import { describeJob } from "../batch/job.ts";
import { clusterFolder } from "../cluster/folder.ts";
import type { Options } from "../config/options.ts";
import type { World } from "../launcher/world.ts";
import { shortName } from "../launcher/host-paths.ts";

/** The options that say where a launch's ranks meet. */
export type MeetingOptions = Pick<Options, "launchId" | "schedulerFile" | "rendezvous">;

/**
 * Where the ranks of a launch meet: the same on every host, from what the launcher, the batch system and the options
 * say.
 */
export interface LaunchPlace {
  /** The launch's key, which all its hosts share. */
  readonly key: string;
  readonly schedulerFile: string;
  /** The cluster folder that follows from both. */
  readonly folder: string;
  readonly multiHost: boolean;
  /** Whether they meet through the launcher's key-value store. */
  readonly usePmi: boolean;
}

/**
 * Works out where a launch's ranks meet. `hostKey` stands for the launch where all are on one host and the launcher
 * names it nothing.
 */
export function launchPlace({
  world,
  options,
  env,
  cwd,
  hostKey,
}: {
  readonly world: World;
  readonly options: MeetingOptions;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly hostKey: string;
}): LaunchPlace {
  const multiHost = !isSingleHost(world);
  const { jobId } = describeJob(env);
  const launchKey = options.launchId ?? world.launchId ?? (multiHost ? undefined : hostKey);
  const key = launchKey ?? `${jobId ?? "no job"}:${options.schedulerFile ?? cwd}:${world.size}`;
  const schedulerFile = (options.schedulerFile ?? join(cwd, "scheduler.json")).replaceAll(
    "{job_id}",
    jobId ?? shortName(key).slice(0, 8),
  );
  return {
    key,
    schedulerFile,
    folder: clusterFolder(schedulerFile, key),
    multiHost,
    usePmi: multiHost && world.pmi !== undefined && options.rendezvous !== "file",
  };
}

/** Whether the launcher says that all ranks are on this host. */
export function isSingleHost(world: World): boolean {
  return world.localSize !== undefined && world.localSize === world.size;
}
