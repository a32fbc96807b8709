import { constants } from "node:fs";
import { open, unlink } from "node:fs/promises";
import { hostname } from "node:os";
import * as v from "valibot";
import { batchNames } from "../dask/scheduler-file.ts";
import { Failure } from "../errors/failure.ts";
import { isAlive } from "../launcher/proc-stat.ts";
import { systemCode, unwritable } from "../security/file-problems.ts";
import { writePrivateFile } from "../security/private-files.ts";
import { readPlainFile, readTrustedFile } from "../security/trusted-file.ts";
import { cancelMarked, newListKey } from "./mark.ts";
import { commandShell } from "./run.ts";

const ListedJob = v.object({
  system: v.picklist(batchNames),
  id: v.pipe(v.string(), v.regex(/^[\w.[\]-]{1,200}$/, "not a job id")),
  /** The host whose process it is, for `local` jobs. */
  host: v.string(),
  /** Seconds since 1970. */
  submitted: v.number(),
  /** Workers it is to bring. */
  expected: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** Whether any worker of it was ever in. */
  joined: v.boolean(),
  /** When its first worker was seen to be in (seconds since 1970), until all of them were. */
  firstIn: v.optional(v.number()),
});

const ListFile = v.object({
  version: v.literal(2),
  /** What the jobs' mark is made from (`markOf`); nobody else knows it. */
  key: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/, "not a key")),
  jobs: v.array(ListedJob),
});

/** The worker jobs of a cluster, and the key of their mark. */
export interface JobList {
  readonly key: string;
  readonly jobs: readonly ListedJob[];
}

/** A worker job that was submitted for a cluster and not yet seen to end. */
export type ListedJob = v.InferOutput<typeof ListedJob>;

/** Whether a job can be seen and cancelled from this host: another host's local ones cannot. */
export function isInReach({ system, host }: ListedJob): boolean {
  return system !== "local" || host === hostname();
}

/** A list of ten thousand jobs has 2 MB. */
const largestList = 16 * 1024 * 1024;

/**
 * The list; none is an empty one with a new key. Throws Failure TSD-099, and TSD-120 for a list that somebody else
 * could have written.
 */
export async function readJobList(path: string): Promise<JobList> {
  const text = await readTrustedFile(path, { limit: largestList, shared: true }).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return undefined;
    if (error instanceof Failure) throw error;
    throw new Failure("TSD-099", { path, problem: String(systemCode(error) ?? error) }, { cause: error });
  });
  if (text === undefined) return { key: newListKey(), jobs: [] };
  const result = v.safeParse(ListFile, parsed(text));
  if (!result.success)
    throw new Failure("TSD-099", {
      path,
      problem: `${v.getDotPath(result.issues[0]) ?? "the whole"}: ${result.issues[0].message}`,
    });
  return result.output;
}

/**
 * Writes the list, or removes it when it is empty. Resolves to false where it could not be kept, as its folder has gone
 * with the cluster. Throws Failure TSD-072.
 */
export async function writeJobList(path: string, { key, jobs }: JobList): Promise<boolean> {
  try {
    if (jobs.length > 0) await writePrivateFile(path, `${JSON.stringify({ version: 2, key, jobs }, null, 1)}\n`);
    else await unlink(path);
    return true;
  } catch (error) {
    const code = systemCode(error instanceof Failure ? error.cause : error);
    if (code !== "ENOENT") throw unwritable(path, error);
    return jobs.length === 0;
  }
}

/**
 * Takes the list for this process alone until it is disposed of; the lock of a process of this host that is gone is
 * taken over. Throws Failure TSD-098 while another command has it.
 */
export async function lockJobList(path: string, command: string): Promise<AsyncDisposable> {
  const lock = `${path}.lock`;
  const mine = `${process.pid} ${hostname()} ${command}`;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      await using file = await open(lock, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
      // An empty one would say of nobody that it is gone.
      await file.writeFile(mine).catch(async (error: unknown) => {
        await removed(lock);
        throw error;
      });
      return { [Symbol.asyncDispose]: () => removed(lock) };
    } catch (error) {
      if (systemCode(error) !== "EEXIST")
        throw new Failure("TSD-099", { path, problem: String(systemCode(error) ?? error) }, { cause: error });
    }
    const holder = await readPlainFile(lock, { limit: 4096 }).catch(() => "");
    const [, pid, host, other] = /^(\d+) (\S+) (\S+)$/.exec(holder) ?? [];
    if (pid === undefined || host !== hostname() || isAlive(Number(pid))) {
      const owner = pid === undefined ? "another process" : `process ${pid} on ${host}`;
      throw new Failure("TSD-098", { command: other ?? "scale", owner, path: lock });
    }
    await removed(lock);
  }
  throw new Failure("TSD-098", { command: "scale", owner: "another process", path: lock });
}

/**
 * The listed jobs of this host's reach, after they were cancelled: `foreign` ones were not, because they do not carry
 * the list's mark.
 */
export interface CancelledJobs {
  readonly jobs: readonly ListedJob[];
  readonly foreign: readonly ListedJob[];
}

/**
 * Cancels every listed job that carries the list's mark, for a cluster that ends. Jobs of another host's local launcher
 * are left to it. Throws the first Failure (TSD-090 to TSD-095) after all were tried.
 */
export async function cancelListedJobs(path: string, env: NodeJS.ProcessEnv): Promise<CancelledJobs> {
  const { key, jobs: listed } = await readJobList(path);
  const jobs = listed.filter(isInReach);
  return { jobs, foreign: await cancelMarked(jobs, key, commandShell({ env, deadline: 10_000 })) };
}

async function removed(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (systemCode(error) !== "ENOENT") throw error;
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The schema's message says that it is not what it should be.
  }
}
