import { readdir } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { batchNames } from "../dask/scheduler-file.ts";
import { Failure } from "../errors/failure.ts";
import { systemCode } from "../security/file-problems.ts";
import { readPrivateFile } from "../security/private-files.ts";
import type { ClusterEntry } from "./cluster-entry.ts";

/** Files that are read at once: a home folder on a network answers many questions in parallel, but has a limit. */
const atOnce = 64;

const plain = v.pipe(
  v.string(),
  v.check((text) => !/\p{Cc}/u.test(text), "holds control characters"),
);
/** A path, or a sentence that may name one: a folder may have any name, and whoever shows it makes it visible. */
const text = v.string();
const Entry = v.object({
  format: v.literal(1),
  name: plain,
  launch: v.pipe(plain, v.regex(/^[\w.-]+$/, "not a launch")),
  version: plain,
  state: v.picklist(["pending", "starting", "running", "ended"]),
  why: v.optional(text),
  code: v.optional(v.number()),
  started: v.number(),
  ended: v.optional(v.number()),
  ends: v.optional(v.number()),
  pid: v.number(),
  startTime: v.string(),
  host: plain,
  machine: v.string(),
  hosts: v.array(plain),
  ranks: v.number(),
  workers: v.number(),
  script: v.optional(text),
  cwd: text,
  folder: text,
  schedulerFile: v.optional(text),
  scheduler: v.optional(v.object({ address: plain, id: plain, rank: v.number() })),
  public: v.optional(v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.-]*$/, "not a host"))),
  security: v.picklist(["tls", "none"]),
  job: v.object({
    system: v.picklist(batchNames),
    id: v.optional(plain),
    site: v.optional(plain),
  }),
  log: v.optional(text),
  targets: v.optional(text),
  grace: v.number(),
});

/**
 * All clusters that are written down, with their files. What cannot be read, or is no entry, is passed over: another
 * version's, or half a disk's.
 */
export async function readEntries(
  clusters: string,
): Promise<readonly { readonly path: string; readonly entry: ClusterEntry }[]> {
  const names = (await namesIn(clusters)).filter((name) => name.endsWith(".json") && !name.startsWith("."));
  const found: { path: string; entry: ClusterEntry }[] = [];
  for (let from = 0; from < names.length; from += atOnce) {
    const some = await Promise.all(
      names.slice(from, from + atOnce).map(async (name) => {
        const path = join(clusters, name);
        const entry = await readEntry(path);
        return entry === undefined ? [] : [{ path, entry }];
      }),
    );
    found.push(...some.flat());
  }
  return found;
}

/** One cluster's entry; undefined when it is gone or is none. */
export async function readEntry(path: string): Promise<ClusterEntry | undefined> {
  try {
    const result = v.safeParse(Entry, JSON.parse(await readPrivateFile(path)));
    return result.success ? (result.output as ClusterEntry) : undefined;
  } catch (error) {
    if (error instanceof Failure || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) !== undefined) return [];
    throw error;
  }
}
