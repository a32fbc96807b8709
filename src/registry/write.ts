import { readdir, rm, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { commonId } from "../batch/same-job.ts";
import { writePrivateFile } from "../security/private-files.ts";
import { entryFile, makeStateFolder, statePaths, type StatePaths } from "./place.ts";
import type { ClusterEntry } from "./cluster-entry.ts";

/** Clusters that have ended, and their logs, are kept so long (ms). */
export const keptFor = 7 * 86_400_000;
/** The most ended clusters that are kept, and the most bytes of their logs together. */
const mostEntries = 300;
const mostLogBytes = 500_000_000;
/**
 * What is too old is looked for this often (ms): a home folder on a network is not listed at the end of each launch.
 */
const pruneEvery = 3_600_000;

/** Writes a cluster's entry; at its end, what is too old goes. Throws TSD-071 and TSD-072. */
export async function writeEntry(entry: ClusterEntry, env: NodeJS.ProcessEnv): Promise<void> {
  const paths = statePaths(env);
  const { clusters } = paths;
  makeStateFolder(clusters);
  await writePrivateFile(entryFile(clusters, entry), `${JSON.stringify(entry)}\n`);
  if (entry.state !== "pending" && entry.job.id !== undefined) await removePending(clusters, entry);
  if (entry.state !== "ended" || !(await pruneIsDue(clusters))) return;
  await pruneEntries(clusters);
  await pruneLogs(paths, entry.launch);
}

/** Whether an hour has passed since somebody cleared away; takes the turn. */
async function pruneIsDue(clusters: string): Promise<boolean> {
  const path = join(clusters, ".pruned");
  const last = await stat(path).catch(() => undefined);
  if (last !== undefined && Date.now() - last.mtimeMs < pruneEvery) return false;
  await writePrivateFile(path, "");
  return true;
}

/** The launch of a job that `script --submit` has submitted and that has not begun. */
export function pendingLaunch(job: ClusterEntry["job"]): string {
  return `job-${job.system}-${commonId(job).replace(/[^\w.-]/g, "_")}`;
}

/** Whether an entry is that of a job which no launch has taken: its folder is the one that it was submitted from. */
export function hasNoLaunch({ launch, job }: Pick<ClusterEntry, "launch" | "job">): boolean {
  return launch === pendingLaunch(job);
}

async function removePending(clusters: string, { job }: ClusterEntry): Promise<void> {
  const suffix = `~${pendingLaunch(job)}.json`;
  for (const name of await readdir(clusters)) if (name.endsWith(suffix)) await removed(join(clusters, name));
}

/**
 * Removes files that nobody has written for a week, and the oldest beyond the most, of clusters that have ended. One
 * that runs, or waits in its batch system's queue, writes nothing meanwhile: `list` asks whether it is still there.
 */
async function pruneEntries(clusters: string): Promise<void> {
  const files = await aged(clusters);
  const old = files.filter(({ age }, index) => age > keptFor || index >= mostEntries);
  for (const { path } of old) {
    const { readEntry } = await import("./entry.ts");
    const entry = await readEntry(path);
    if (entry === undefined || entry.state === "ended") await removed(path);
  }
}

/**
 * Removes logs that nobody has written for a week and whose launch is not in the list any more (one that runs is,
 * however silent), and the oldest beyond the most bytes; never those of this launch, nor of one that has not said that
 * it has ended.
 */
async function pruneLogs({ clusters, logs }: StatePaths, own: string): Promise<void> {
  const listed = new Map(
    (await readdir(clusters)).map((name) => [name.slice(name.indexOf("~") + 1, -".json".length), join(clusters, name)]),
  );
  let bytes = 0;
  for (const { path, name, age } of await aged(logs)) {
    const files = await aged(path);
    bytes += files.reduce((sum, { size }) => sum + size, 0);
    const newest = Math.min(age, ...files.map((file) => file.age));
    const entry = listed.get(name);
    const forgotten = entry === undefined && (newest > keptFor || listed.size >= mostEntries);
    if (name === own || !(forgotten || bytes > mostLogBytes)) continue;
    if (entry === undefined || (await hasEnded(entry))) await rm(path, { recursive: true, force: true });
  }
}

/** Whether the cluster of an entry's file has ended; one whose entry cannot be read may run. */
async function hasEnded(path: string): Promise<boolean> {
  const { readEntry } = await import("./entry.ts");
  return (await readEntry(path))?.state === "ended";
}

interface Aged {
  readonly path: string;
  readonly name: string;
  readonly age: number;
  readonly size: number;
}

/** What is in a folder, the newest first; nothing for a folder that is not there. */
async function aged(folder: string): Promise<readonly Aged[]> {
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      const about = await stat(path).catch(() => undefined);
      return about === undefined ? [] : [{ path, name, age: Date.now() - about.mtimeMs, size: about.size }];
    }),
  );
  return found.flat().toSorted((a, b) => a.age - b.age);
}

const removed = (path: string): Promise<void> => unlink(path).catch(() => undefined);
