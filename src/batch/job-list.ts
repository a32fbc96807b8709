import { constants } from "node:fs";
import { open, unlink } from "node:fs/promises";
import { hostname } from "node:os";
import * as v from "valibot";
import { Failure } from "../errors/failure.ts";
import { systemCode } from "../security/file-problems.ts";
import { writePrivateFile } from "../security/private-files.ts";
import { readPlainFile, readTrustedFile } from "../security/trusted-file.ts";
import { batchSystem } from "./job.ts";
import { commandShell } from "./run.ts";

const system = v.picklist(["slurm", "pbs", "sge", "lsf", "flux", "htcondor", "kubernetes", "local"]);

const ListedJob = v.object({
  system,
  id: v.pipe(v.string(), v.regex(/^[\w.[\]-]{1,200}$/, "not a job id")),
  /** The host whose process it is, for `local` jobs. */
  host: v.string(),
  /** Seconds since 1970. */
  submitted: v.number(),
  /** Workers it is to bring. */
  expected: v.pipe(v.number(), v.integer(), v.minValue(1)),
  /** Whether any worker of it was ever in. */
  joined: v.boolean(),
});

const JobList = v.object({ version: v.literal(1), jobs: v.array(ListedJob) });

/** A worker job that was submitted for a cluster and not yet seen to end. */
export type ListedJob = v.InferOutput<typeof ListedJob>;

/** A list of ten thousand jobs has 2 MB. */
const largestList = 16 * 1024 * 1024;

/** The listed jobs; none when there is no list. Throws Failure TSD-099, and TSD-120 for a list that somebody else could have written. */
export async function readJobList(path: string): Promise<readonly ListedJob[]> {
  const text = await readTrustedFile(path, { limit: largestList, shared: true }).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return undefined;
    if (error instanceof Failure) throw error;
    throw new Failure("TSD-099", { path, problem: String(systemCode(error) ?? error) }, { cause: error });
  });
  if (text === undefined) return [];
  const result = v.safeParse(JobList, parsed(text));
  if (!result.success)
    throw new Failure("TSD-099", {
      path,
      problem: `${v.getDotPath(result.issues[0]) ?? "the whole"}: ${result.issues[0].message}`,
    });
  return result.output.jobs;
}

/** Writes the list, or removes it when it is empty. A cluster folder that has gone with its cluster takes no list. */
export async function writeJobList(path: string, jobs: readonly ListedJob[]): Promise<void> {
  try {
    if (jobs.length > 0) await writePrivateFile(path, `${JSON.stringify({ version: 1, jobs }, null, 1)}\n`);
    else await unlink(path);
  } catch (error) {
    const code = systemCode(error instanceof Failure ? error.cause : error);
    if (code !== "ENOENT") throw error;
  }
}

/**
 * Takes the list for this process alone until it is disposed of; the lock of a process of this host that is gone is taken over.
 * Throws Failure TSD-098 while another command has it.
 */
export async function lockJobList(path: string, command: string): Promise<AsyncDisposable> {
  const lock = `${path}.lock`;
  const mine = `${process.pid} ${hostname()} ${command}`;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      await using file = await open(lock, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
      await file.writeFile(mine);
      return { [Symbol.asyncDispose]: () => removed(lock) };
    } catch (error) {
      if (systemCode(error) !== "EEXIST")
        throw new Failure("TSD-099", { path, problem: String(systemCode(error) ?? error) }, { cause: error });
    }
    const holder = await readPlainFile(lock, { limit: 4096 }).catch(() => "");
    const [pid, host, other] = holder.split(" ");
    if (pid === undefined || host !== hostname() || isAlive(Number(pid)))
      throw new Failure("TSD-098", { command: other ?? "scale", owner: `process ${pid} on ${host}`, path: lock });
    await removed(lock);
  }
  throw new Failure("TSD-098", { command: "scale", owner: "another process", path: lock });
}

/**
 * Cancels every listed job, for a cluster that ends; returns their ids. Jobs of another host's local launcher are left to it.
 * Throws the first Failure (TSD-090 to TSD-095) after all were tried.
 */
export async function cancelListedJobs(path: string, env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const jobs = (await readJobList(path)).filter((job) => job.system !== "local" || job.host === hostname());
  const shell = commandShell({ env, deadline: 10_000 });
  const names = [...new Set(jobs.map((job) => job.system))];
  const done = await Promise.allSettled(
    names.map(async (name) =>
      batchSystem(name).cancel(
        jobs.filter((job) => job.system === name).map(({ id }) => id),
        shell,
      ),
    ),
  );
  const failed = done.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return jobs.map(({ id }) => id);
}

async function removed(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (systemCode(error) !== "ENOENT") throw error;
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // The schema's message says that it is not what it should be.
  }
}
