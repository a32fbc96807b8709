import { setTimeout as sleep } from "node:timers/promises";
import { endWorkerJobs } from "../batch/end-jobs.ts";
import { batchSystem, isElsewhere } from "../batch/job.ts";
import { commandShell } from "../batch/run.ts";
import { callScheduler, identity } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { askAll, processOf } from "./ask.ts";
import { credentialsOf, fileSystemAnswers } from "./credentials.ts";
import { readEntry } from "./entry.ts";
import type { Listed } from "./find.ts";
import type { ClusterEntry } from "./cluster-entry.ts";

/** How often (ms) a cluster that was told to end is looked at. */
const lookEvery = 200;
/** Between the two signals that mean "at once" (ms); the second counts after 300. */
const betweenSignals = 600;

interface StopOptions {
  readonly now: boolean;
  readonly env: NodeJS.ProcessEnv;
  readonly say: (text: string) => void;
}

/**
 * Ends a cluster: its scheduler is asked, else its rank 0 signalled where it is a process of this machine, else its job
 * cancelled. Resolves, when nothing of it is left, to what else had to be done. Throws TSD-150 when it is still there
 * after its grace, and what cancelling throws.
 */
export async function stopCluster(one: Listed, { now, env, say }: StopOptions): Promise<string> {
  const { entry } = one;
  if (
    now &&
    entry.state !== "pending" &&
    (await fileSystemAnswers(entry.folder, { env, deadline: deadlines.connectCommand }))
  )
    await endWorkerJobs(entry.folder, env);
  const how = await tellToEnd(one, now, env);
  if (how === undefined)
    throw notStopped(
      one,
      0,
      "nobody can be told",
      "Neither its scheduler nor its process nor a batch job can be reached from here.",
      "Run `tsdask-mpi stop` on a host of the cluster, or where its batch system's commands are.",
    );
  if (!now && entry.grace > 5) say("is ending; its script has its grace to end in order.");
  const patience = deadlines.stopCluster + (now ? 0 : entry.grace * 1000);
  if (await isGone(one, patience, env)) return how;
  if (now && processOf(entry) === true) {
    process.kill(entry.pid, "SIGKILL");
    if (await isGone(one, deadlines.stopCluster, env)) return "its rank 0 had to be killed";
  }
  throw notStopped(
    one,
    patience / 1000,
    how === "" ? "it was told to end" : how,
    "Its script, or its host, does not end.",
    `\`tsdask-mpi stop ${entry.name}${now ? "` once more" : " --now` kills what is left"}; a batch job can be cancelled with the system's own command.`,
  );
}

/** Tells the cluster to end; resolves to what was done besides asking, or undefined when there is nobody to tell. */
async function tellToEnd({ entry, state }: Listed, now: boolean, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  // A job that is suspended hears nothing before it goes on.
  if (state === "suspended") return cancelJob(entry, env);
  if (entry.state !== "pending" && (await askScheduler(entry, now, env))) return "";
  if (processOf(entry) === true) {
    signal(entry, "SIGTERM");
    if (now) {
      await sleep(betweenSignals);
      signal(entry, "SIGTERM");
    }
    return "";
  }
  return cancelJob(entry, env);
}

async function cancelJob({ job }: ClusterEntry, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { system, id } = job;
  const shell = commandShell({ env });
  // The same id is another job at another batch system.
  if (id === undefined || system === "local" || (await isElsewhere(job, shell))) return undefined;
  await batchSystem(system).cancel([id], shell);
  return `its job, ${system} ${id}, was cancelled`;
}

async function askScheduler(entry: ClusterEntry, now: boolean, env: NodeJS.ProcessEnv): Promise<boolean> {
  if (entry.scheduler === undefined) return false;
  const { address, id } = entry.scheduler;
  const asking = { env, deadline: deadlines.connectCommand };
  try {
    const scheduler = { address, tls: await credentialsOf(entry, asking) };
    // Without TLS, whoever has the address by now would end at this word: another cluster, or another user's.
    if ((await identity(scheduler, asking)).id !== id) return false;
    await callScheduler(scheduler, "tsdask_stop", { now }, asking);
    return true;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

function signal(entry: ClusterEntry, name: NodeJS.Signals): void {
  // Its start time was looked at just before: the pid is still its own.
  if (processOf(entry) === true) process.kill(entry.pid, name);
}

/** Waits until nothing of the cluster is there, at most so long (ms). */
async function isGone({ entry, path }: Listed, patience: number, env: NodeJS.ProcessEnv): Promise<boolean> {
  const until = performance.now() + patience;
  while (performance.now() < until) {
    const alive = processOf(entry);
    if (alive === false) return true;
    // Elsewhere, its own word is the first to come; then its scheduler's port, and its job.
    if (alive === undefined) {
      const written = await readEntry(path);
      if (written === undefined) return true;
      // A busy batch system answers late; nobody reads a table here.
      const [seen] = await askAll([entry], { env, deadline: deadlines.batchStatus });
      if (seen?.state === "ended" || (written.state === "ended" && seen?.state !== "running")) return true;
    }
    await sleep(lookEvery);
  }
  return false;
}

function notStopped({ entry }: Listed, seconds: number, how: string, cause: string, cure: string): Failure {
  return new Failure("TSD-150", { name: entry.name, seconds: Math.round(seconds), how, cause, cure });
}
