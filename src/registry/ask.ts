import { hostname, uptime } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { batchSystem, isElsewhere } from "../batch/job.ts";
import { commandShell } from "../batch/run.ts";
import type { JobState } from "../batch/system.ts";
import { lineTrouble } from "../dask/comm.ts";
import { identity, type SchedulerIdentity } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { machine, startTime } from "../launcher/process-mark.ts";
import type { ClusterEntry } from "./cluster-entry.ts";
import { credentialsOf } from "./credentials.ts";

/**
 * What a cluster is at this moment. `suspended`: its batch system has stopped its job for now; `silent`: it is there,
 * and its scheduler does not answer in time; `unknown`: nothing here can tell.
 */
export type LiveState = "pending" | "starting" | "running" | "suspended" | "silent" | "unknown" | "ended";

export interface Asked {
  readonly entry: ClusterEntry;
  readonly state: LiveState;
  /** How it ended, or why it is not known, as a sentence without its full stop. */
  readonly why?: string;
  /** What the scheduler says of itself, when it answers. */
  readonly identity?: SchedulerIdentity;
  /** When its job's time is over, seconds since 1970. */
  readonly ends?: number;
  /** Whether an entry that does not say so has certainly ended. */
  readonly lost?: true;
}

/** What the three witnesses of a cluster say; undefined: not asked, or no answer. */
export interface Testimony {
  /** Its rank 0, where it is a process of this machine. */
  readonly process: boolean | undefined;
  readonly scheduler: "answers" | "another" | "refused" | "silent" | "no way" | undefined;
  readonly job: JobState | undefined;
}

/**
 * What a cluster is, from what it last said and what its witnesses say now. Only its process and its batch system can
 * say for certain that it has ended: an address may be another host's seen from here, or closed by a firewall. Pure.
 */
export function verdict(
  { state: last, why, code }: Pick<ClusterEntry, "state" | "why" | "code">,
  seen: Testimony,
): Pick<Asked, "state" | "why" | "lost"> {
  const gone = (reason: string): Pick<Asked, "state" | "why" | "lost"> => ({ state: "ended", why: reason, lost: true });
  const state = last === "ended" && isContradicted(code, seen.process) ? "running" : last;
  if (state === "ended") return { state, ...(why === undefined ? {} : { why }) };
  if (state === "pending") {
    if (seen.job === "gone") return gone("its job ended before the cluster was up");
    if (seen.job === "suspended") return { state: "suspended" };
    return {
      state: seen.job === "running" ? "starting" : "pending",
      ...(seen.job === "held" ? { why: "its job is held" } : {}),
    };
  }
  if (seen.scheduler === "answers") return { state: "running" };
  if (seen.process === false) return gone("killed with everything in it: its process is gone without a word");
  if (seen.job === "suspended") return { state: "suspended" };
  if (seen.process === true)
    return state === "starting" ? { state } : { state: "silent", why: "its scheduler does not answer" };
  if (seen.job === "gone") return gone("its job is gone without a word");
  const heard = portWords(seen.scheduler);
  if (seen.job !== undefined)
    return {
      state: state === "starting" ? "starting" : "silent",
      why: `its job is ${seen.job}${heard === undefined ? "" : `; ${heard}`}`,
    };
  return { state: "unknown", why: heard ?? "its host cannot be asked from here" };
}

/** What the scheduler's port seems to say, where nobody who is certain speaks. */
function portWords(scheduler: Testimony["scheduler"]): string | undefined {
  if (scheduler === "another") return "something else answers at its address, seen from here";
  return scheduler === "refused" ? "its address refuses connections from here" : undefined;
}

/** Whether a cluster that somebody else has written down as ended lives: its own last word has an exit code. */
const isContradicted = (code: number | undefined, process: boolean | undefined): boolean =>
  code === undefined && process === true;

/** Asks each cluster's witnesses, all at once, within `deadline` ms; an ended one is believed. */
export async function askAll(
  entries: readonly ClusterEntry[],
  { env, deadline = deadlines.askCluster }: { readonly env: NodeJS.ProcessEnv; readonly deadline?: number },
): Promise<readonly Asked[]> {
  // Whose own last word has an exit code is not looked at: a list has hundreds of them.
  const processes = new Map(
    entries.filter(({ state, code }) => state !== "ended" || code === undefined).map((one) => [one, processOf(one)]),
  );
  const live = entries.filter((one) => one.state !== "ended" || isContradicted(one.code, processes.get(one)));
  const [jobs, schedulers] = await Promise.all([
    askJobs(
      live.filter((entry) => processes.get(entry) !== false),
      env,
      deadline,
    ),
    Promise.all(
      live.map(async (entry) => [entry, diedHere(entry) ? {} : await askScheduler(entry, { env, deadline })] as const),
    ),
  ]);
  const answers = new Map(schedulers);
  return entries.map((entry) => {
    const { scheduler, found } = answers.get(entry) ?? {};
    const job = jobs.get(jobKey(entry));
    const ends = entry.ends ?? job?.ends;
    return {
      entry,
      ...verdict(entry, { process: processes.get(entry), scheduler, job: job?.state }),
      ...(found === undefined ? {} : { identity: found }),
      ...(ends === undefined ? {} : { ends }),
    };
  });
}

/** Whether its rank 0 lives; undefined where its process is not one of this machine. */
export function processOf(entry: ClusterEntry): boolean | undefined {
  const { state, pid, startTime: began, machine: where, host, started, job } = entry;
  if (state === "pending" || began === "") return undefined;
  const here = machine();
  if (where === here && here !== "") return startTime(pid) === began;
  // The same host after a reboot; a container has the boot of its machine, and a space of pids of its own. Hosts of two
  // systems may have one name: what has a job is asked by its job, and no reboot ends what began after it.
  const rebooted =
    host === hostname() &&
    where.split(" ")[0] !== here.split(" ")[0] &&
    job.id === undefined &&
    started < Date.now() / 1000 - uptime();
  return rebooted && here !== "" && where !== "" ? false : undefined;
}

/** Whether it is certain, without asking anybody else, that its rank 0 is gone. */
const diedHere = (entry: ClusterEntry): boolean => entry.machine === machine() && processOf(entry) === false;

interface SchedulerAnswer {
  readonly scheduler?: Testimony["scheduler"];
  readonly found?: SchedulerIdentity;
}

async function askScheduler(
  entry: ClusterEntry,
  asking: { readonly env: NodeJS.ProcessEnv; readonly deadline: number },
): Promise<SchedulerAnswer> {
  if (entry.scheduler === undefined) return {};
  const { address, id } = entry.scheduler;
  try {
    const found = await identity({ address, tls: await credentialsOf(entry, asking) }, asking);
    return found.id === id ? { scheduler: "answers", found } : { scheduler: "another" };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // Its credentials are gone, or on a file system that this host does not see, or that does not answer.
    const line = lineTrouble(error);
    if (line === undefined) return { scheduler: ["TSD-076", "TSD-077"].includes(error.code) ? "another" : undefined };
    if (line.stage === "connect") return { scheduler: line.trouble === "refused" ? "refused" : "no way" };
    return { scheduler: line.trouble === "silent" ? "silent" : "another" };
  }
}

const jobKey = ({ job }: ClusterEntry): string => `${job.system} ${job.site ?? ""} ${job.id}`;

interface JobAnswer {
  readonly state: JobState;
  readonly ends?: number;
}

/**
 * The states of the clusters' jobs, and their ends where the entry has none. A batch system that does not answer in
 * time says nothing.
 */
async function askJobs(
  entries: readonly ClusterEntry[],
  env: NodeJS.ProcessEnv,
  deadline: number,
): Promise<ReadonlyMap<string, JobAnswer>> {
  const answers = new Map<string, JobAnswer>();
  const shell = commandShell({ env, deadline });
  const batch = entries.filter(({ job }) => job.id !== undefined && job.system !== "local");
  const asking = [...Map.groupBy(batch, ({ job }) => `${job.system} ${job.site ?? ""}`).values()].map(async (some) => {
    const { job } = some[0] as ClusterEntry;
    const system = batchSystem(job.system);
    const ids = [...new Set(some.map((entry) => entry.job.id ?? ""))];
    const [states, elsewhere] = await Promise.all([system.states(ids, shell), isElsewhere(job, shell)]);
    // Two systems may share the users' homes, and number their jobs alike.
    if (elsewhere) return;
    for (const entry of some) answers.set(jobKey(entry), { state: states.get(entry.job.id ?? "") ?? "gone" });
    await Promise.all(
      some.map(async (entry) => {
        const state = answers.get(jobKey(entry))?.state;
        if (state !== "running" || entry.ends !== undefined) return;
        const { endTime } = await system.inquire({ system: job.system, jobId: entry.job.id ?? "" }, shell);
        if (endTime !== undefined) answers.set(jobKey(entry), { state, ends: endTime });
      }),
    );
  });
  const done = Promise.allSettled(asking);
  await Promise.race([done, sleep(deadline, undefined, { ref: false })]);
  return answers;
}
