import { readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../errors/failure.ts";
import { readPrivateFile, writePrivateFile } from "../security/private-files.ts";
import { askAll, type Asked } from "./ask.ts";
import { readEntries, readEntry } from "./entry.ts";
import { statePaths } from "./place.ts";
import type { ClusterEntry } from "./cluster-entry.ts";
import { keptFor } from "./write.ts";

/** A cluster of the user's list, asked, with the file of its entry. */
export interface Listed extends Asked {
  readonly path: string;
}

/**
 * The user's clusters, asked: those that live first, then the newest. What is found to have ended is written down, what
 * ended long ago is forgotten.
 */
export async function listClusters(
  env: NodeJS.ProcessEnv,
  only?: (entry: ClusterEntry) => boolean,
): Promise<readonly Listed[]> {
  const read = (await readEntries(statePaths(env).clusters)).filter(({ entry }) => only?.(entry) ?? true);
  const asked = await askAll(
    read.map(({ entry }) => entry),
    { env },
  );
  const now = Date.now() / 1000;
  const all = await Promise.all(
    asked.map((one, index) => {
      const listed = { ...one, path: read[index]?.path ?? "" };
      return listed.lost ? settled(listed, now) : listed;
    }),
  );
  const kept = all.filter((one) => !isForgotten(one, now));
  await Promise.all(all.filter((one) => isForgotten(one, now)).map(({ path }) => unlink(path).catch(() => undefined)));
  return kept.toSorted(
    (a, b) => Number(a.state === "ended") - Number(b.state === "ended") || b.entry.started - a.entry.started,
  );
}

/** The clusters that a word may mean: by launch, else by name; those that live, else the newest that has ended. */
export async function clustersNamed(word: string, env: NodeJS.ProcessEnv): Promise<readonly Listed[]> {
  const found = await listClusters(env, ({ name, launch }) => name === word || launch === word);
  const live = found.filter(({ state }) => state !== "ended");
  return live.length > 0 ? live : found.slice(0, 1);
}

/** The one cluster of a name. Throws TSD-147 and TSD-148. */
export async function clusterNamed(word: string, env: NodeJS.ProcessEnv): Promise<Listed> {
  const [found, ...more] = await clustersNamed(word, env);
  if (found === undefined) throw await unknownName(word, env);
  if (more.length > 0) throw ambiguous(word, [found, ...more]);
  return found;
}

/** Throws Failure TSD-186 for a cluster that its batch system has suspended. */
export function refuseSuspended({ entry: { name, job }, state }: Listed): void {
  if (state === "suspended") throw new Failure("TSD-186", { name, system: job.system, job: job.id ?? "" });
}

/** Failure TSD-148. */
export function ambiguous(word: string, found: readonly Listed[]): Failure {
  return new Failure("TSD-148", {
    name: word,
    launches: found.map(({ entry }) => `${entry.launch} (${entry.cwd})`).join(", "),
  });
}

async function unknownName(word: string, env: NodeJS.ProcessEnv): Promise<Failure> {
  const { nearest } = await import("../config/suggest.ts");
  const spoilt = await spoiltEntry(word, env);
  if (spoilt !== undefined) return new Failure("TSD-147", { name: word, cause: spoilt, suggestion: "" });
  const names = (await readEntries(statePaths(env).clusters)).map(({ entry }) => entry.name);
  const guess = nearest(word, names);
  return new Failure("TSD-147", {
    name: word,
    cause:
      names.length === 0
        ? `Your list of clusters is empty here (${statePaths(env).clusters}).`
        : "It is misspelt, has ended more than a week ago, or was started with another HOME or XDG_STATE_HOME.",
    suggestion: guess === undefined ? "" : `Did you mean ${guess}?`,
  });
}

/** What is wrong with a file in the list that should say where the cluster is; undefined where there is none. */
async function spoiltEntry(word: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { clusters } = statePaths(env);
  const file = (await readdir(clusters).catch(() => [])).find((name) => name.startsWith(`${word}~`));
  if (file === undefined) return undefined;
  const path = join(clusters, file);
  const problem = await readPrivateFile(path).then(
    () => "another version wrote it, or it is damaged",
    (error: unknown) => (error instanceof Failure ? String(error.facts["problem"]) : String(error)),
  );
  return `Its entry in your list is not believed: ${problem} (${path}).`;
}

/**
 * A cluster that was found to have ended without a word, which is written down; or, where it has said how it ended
 * since its entry was read, what it says: its process and its job are gone only after that.
 */
async function settled(one: Listed, now: number): Promise<Listed> {
  const latest = await readEntry(one.path);
  if (latest?.state === "ended") {
    const { lost: _lost, why: _why, ...rest } = one;
    return { ...rest, entry: latest, ...(latest.why === undefined ? {} : { why: latest.why }) };
  }
  const entry: ClusterEntry = { ...(latest ?? one.entry), state: "ended", why: one.why ?? "", ended: now };
  // A home folder that cannot be written now is asked again the next time.
  await writePrivateFile(one.path, `${JSON.stringify(entry)}\n`).catch(() => undefined);
  return { ...one, entry };
}

function isForgotten({ entry, state }: Listed, now: number): boolean {
  const since = now - (entry.ended ?? entry.started);
  return (state === "ended" && since * 1000 > keptFor) || (state === "unknown" && since * 1000 > 4 * keptFor);
}
