import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { credentialsFor } from "../dask/live-cluster.ts";
import { refuseOpen } from "../dask/open-cluster.ts";
import { readSchedulerFile } from "../dask/read-scheduler-file.ts";
import { callScheduler, identity, retireWorkers, type SchedulerEndpoint, type SchedulerIdentity } from "../dask/rpc.ts";
import type { ClusterGroup, SchedulerFile } from "../dask/scheduler-file.ts";
import { settingValues } from "../dask/settings.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import type { Trust } from "../security/trusted-file.ts";
import { isOfJob, type GrowthPlan, type JobSeen, type WorkerSeen } from "./growth.ts";
import { batchSystem } from "./job.ts";
import { readJobList, writeJobList, type ListedJob } from "./job-list.ts";
import { jobListPath } from "./job-list-path.ts";
import { cancelMarked, markOf, refuseForeign } from "./mark.ts";
import { whyPending, type Pending } from "./pending.ts";
import type { BatchName, JobState, Shell, Submission } from "./system.ts";

/** A cluster that grows and shrinks by worker jobs. */
export interface WorkerJobs {
  readonly schedulerFile: string;
  /** Where its worker jobs are listed. */
  readonly listPath: string;
  /** A scheduler that dies is started again. */
  readonly schedulerReturns: boolean;
  /** Looks at the scheduler's workers and the batch system's jobs, and brings the list up to date. */
  readonly look: () => Promise<View>;
  /**
   * Whether the scheduler still answers as the one of the file; false when the file has gone or is another launch's.
   */
  readonly sameCluster: () => Promise<boolean>;
  /** Whether the cluster's own job has been stopped for now by its batch system; false where that cannot be told. */
  readonly suspended: () => Promise<boolean>;
  /**
   * How many workers the present work asks for: by Dask's own adaptive scaling, and for the workers of a group alone
   * where there are groups.
   */
  readonly adaptiveTarget: (targetDuration: number | undefined) => Promise<number>;
  /** Why those of the view's jobs that wait do so, as far as their batch systems say. */
  readonly pending: (view: View) => Promise<readonly Pending[]>;
  /** Tells the scheduler that so many workers may come; one that does not know of it is left as it is. */
  readonly expect: (workers: number) => Promise<void>;
  readonly submit: (count: number) => Promise<readonly string[]>;
  /**
   * Retires these jobs' workers, then cancels the jobs; returns the ids of those that left (others hold data that had
   * no other place).
   */
  readonly release: (plan: Pick<GrowthPlan, "retire" | "cancel">) => Promise<readonly string[]>;
  /** Cancels all listed jobs at once, for a cluster that has ended; returns their ids. */
  readonly cancelAll: () => Promise<readonly string[]>;
}

/** A cluster and its worker jobs at one moment. */
export interface View {
  readonly workers: number;
  /** Workers that no listed job brought. */
  readonly others: number;
  readonly jobs: readonly JobSeen[];
  /** Jobs that ended since the last look without any worker of theirs having joined. */
  readonly failed: readonly string[];
  /**
   * Another scheduler answers than at the last look, in the place of one that died: workers are on their way back to
   * it.
   */
  readonly schedulerIsNew: boolean;
}

export interface WorkerJobsInput {
  readonly schedulerFile: string;
  /** What was said of the cluster: a shared folder, one without TLS. */
  readonly trust: Trust & { readonly security: "tls" | "none" };
  readonly system: BatchName;
  readonly shell: Shell;
  /** What is submitted; its environment gets TSDASK_SCHEDULER_FILE. */
  readonly submission: Submission;
  /** Workers that a job brings. */
  readonly perJob: number;
  /** The group whose workers are counted and brought; undefined: those of no group. */
  readonly group: ClusterGroup | undefined;
}

/**
 * Jobs that are submitted with one command at most, as an array: Slurm's own limit is 1000 tasks where the site says
 * nothing else.
 */
const mostTasks = 500;

/**
 * Opens the cluster of a scheduler file. Throws Failure TSD-023, TSD-024, TSD-120, TSD-121 (the file), TSD-073, TSD-074
 * (its credentials); the workers's functions throw what Dask's calls (TSD-075 to TSD-078), the batch systems (TSD-090
 * to TSD-095) and the job list (TSD-099) throw.
 */
export async function openWorkerJobs(input: WorkerJobsInput): Promise<WorkerJobs> {
  const { schedulerFile, trust } = input;
  const file = await readSchedulerFile(schedulerFile, trust);
  refuseOpen(schedulerFile, file, trust.security);
  const scheduler: SchedulerEndpoint = { address: file.address, tls: await credentialsFor(file, trust) };
  const listPath = jobListPath(schedulerFile, file.tsdask?.folder, input.group?.name);
  const { key, jobs } = await readJobList(listPath);
  return new ClusterJobs({ ...input, file, scheduler, listPath, key }, jobs);
}

interface OpenedCluster extends WorkerJobsInput {
  readonly file: SchedulerFile;
  readonly scheduler: SchedulerEndpoint;
  readonly listPath: string;
  /** By which a job is known for one of this list. */
  readonly key: string;
}

/** A worker as the scheduler tells of it, with what it has. */
interface FoundWorker extends WorkerSeen {
  readonly resources: Readonly<Record<string, unknown>>;
}

class ClusterJobs implements WorkerJobs {
  readonly schedulerFile: string;
  readonly listPath: string;
  readonly schedulerReturns: boolean;
  readonly #cluster: OpenedCluster;
  #listed: readonly ListedJob[];
  #schedulerId: string;
  /** Those that work can ask for. */
  readonly #groups: readonly ClusterGroup[];
  /** When each job was last seen to run (ms). */
  readonly #ran = new Map<string, number>();

  constructor(cluster: OpenedCluster, listed: readonly ListedJob[]) {
    this.schedulerFile = cluster.schedulerFile;
    this.listPath = cluster.listPath;
    this.schedulerReturns = cluster.file.tsdask?.schedulerReturns === true;
    this.#cluster = cluster;
    this.#listed = listed;
    this.#schedulerId = cluster.file.id;
    this.#groups = withResources(cluster.file);
  }

  async look(): Promise<View> {
    const { scheduler, shell } = this.#cluster;
    const found = await identity(scheduler);
    const all = workersOf(found);
    const schedulerIsNew = found.id !== this.#schedulerId;
    this.#schedulerId = found.id;
    const states = await statesOf(this.#listed, shell);
    const seen = this.#listed.map((job) => {
      const own = all.filter(({ name }) => isOfJob(name, job.id));
      const state = states.get(job.id) ?? "gone";
      // A job that was preempted and is in the queue again is to join anew.
      const joined = own.length > 0 || (job.joined && state !== "pending");
      return { ...job, joined, state, workers: own, ...this.#settling(job.id, state) };
    });
    const live = seen.filter(({ state }) => state !== "gone");
    const failed = seen.filter(({ state, joined }) => state === "gone" && !joined).map(({ id }) => id);
    await this.#save(live.map(({ state: _state, workers: _workers, settling: _settling, ...job }) => job));
    const brought = new Set(live.flatMap((job) => job.workers));
    const others = all.filter((worker) => !brought.has(worker) && this.#counts(worker)).length;
    return { workers: brought.size + others, others, jobs: live, failed, schedulerIsNew };
  }

  /** Whether a worker that no job of the list brought is one of the group. */
  #counts({ resources }: FoundWorker): boolean {
    return this.#groups.find((one) => isDeepStrictEqual(one.resources, resources))?.name === this.#cluster.group?.name;
  }

  /** Whether a job that is ending ran when this process looked before, not long ago. */
  #settling(id: string, state: JobState): { readonly settling?: true } {
    const now = performance.now();
    if (state === "running") this.#ran.set(id, now);
    return state === "ending" && now - (this.#ran.get(id) ?? -Infinity) < deadlines.jobSettles
      ? { settling: true }
      : {};
  }

  async pending({ jobs }: View): Promise<readonly Pending[]> {
    const waiting = jobs.flatMap(({ id, state }) => {
      const job = state === "pending" || state === "held" ? this.#listed.find((one) => one.id === id) : undefined;
      return job === undefined ? [] : [job];
    });
    return whyPending(waiting, this.#cluster.shell);
  }

  async submit(count: number): Promise<readonly string[]> {
    const { system, shell, submission, schedulerFile, key, perJob: expected } = this.#cluster;
    const work = { ...submission, mark: markOf(key), env: { ...submission.env, TSDASK_SCHEDULER_FILE: schedulerFile } };
    const common = { system, host: hostname(), submitted: Math.floor(shell.now()), expected, joined: false };
    const submitted: string[] = [];
    const add = async (ids: readonly string[]): Promise<void> => {
      submitted.push(...ids);
      await this.#save([...this.#listed, ...ids.map((id) => ({ ...common, id }))]);
    };
    const { submitArray, submit: submitOne } = batchSystem(system);
    let tasks = submitArray === undefined ? 0 : mostTasks;
    while (submitted.length < count) {
      const wanted = Math.min(tasks, count - submitted.length);
      const ids = wanted > 1 ? await submitArray?.(work, wanted, shell) : undefined;
      if (ids !== undefined) await add(ids);
      else {
        // No arrays here, or none as large.
        tasks = 0;
        await add([await submitOne(work, shell)]);
      }
    }
    return submitted;
  }

  async release({ retire, cancel }: Pick<GrowthPlan, "retire" | "cancel">): Promise<readonly string[]> {
    const workers = retire.flatMap((job) => job.workers.map(({ address }) => address));
    const retired =
      workers.length === 0
        ? []
        : await retireWorkers(this.#cluster.scheduler, { workers }, { deadline: deadlines.retireWorkers });
    const left = retire.filter((job) => job.workers.every(({ address }) => retired.includes(address)));
    const leaving = [...left, ...cancel].map(({ id }) => id);
    const selfEnding = left.map(({ id }) => id);
    await this.#end(leaving, selfEnding);
    return leaving;
  }

  async sameCluster(): Promise<boolean> {
    const { schedulerFile, trust, file } = this.#cluster;
    try {
      const now = await readSchedulerFile(schedulerFile, trust);
      // A scheduler that was started again has another id.
      return now.id === file.id || (now.tsdask !== undefined && now.tsdask.launch === file.tsdask?.launch);
    } catch (error) {
      if (error instanceof Failure) return false;
      throw error;
    }
  }

  async suspended(): Promise<boolean> {
    const { file, shell } = this.#cluster;
    const { system, id } = file.tsdask?.job ?? { system: "local" };
    if (id === undefined || system === "local") return false;
    try {
      return (await batchSystem(system).states([id], shell)).get(id) === "suspended";
    } catch (error) {
      if (error instanceof Failure) return false;
      throw error;
    }
  }

  async adaptiveTarget(targetDuration: number | undefined): Promise<number> {
    const { scheduler, group } = this.#cluster;
    const groups = this.#groups.map(({ resources }) => resources);
    const place = this.#groups.findIndex(({ name }) => name === group?.name);
    const [op, words] =
      groups.length === 0 ? ["adaptive_target", {}] : ["tsdask_wanted", { groups, group: place < 0 ? null : place }];
    const reply = await callScheduler(scheduler, op, {
      ...words,
      ...(targetDuration === undefined ? {} : { target_duration: targetDuration }),
    });
    if (typeof reply !== "number" || !Number.isFinite(reply))
      throw new Failure("TSD-077", { address: scheduler.address, problem: `an unexpected reply to ${op}` });
    return Math.max(0, Math.ceil(reply));
  }

  async expect(workers: number): Promise<void> {
    const { scheduler, file } = this.#cluster;
    const settings = settingValues({ workers, here: 1, cores: 1 });
    if (file.tsdask === undefined || Object.keys(settings).length === 0) return;
    await callScheduler(scheduler, "tsdask_expect", { settings });
  }

  async cancelAll(): Promise<readonly string[]> {
    const ids = this.#listed.map(({ id }) => id);
    const foreign = await cancelMarked(this.#listed, this.#cluster.key, this.#cluster.shell);
    await this.#save([]);
    refuseForeign(foreign, this.listPath);
    return ids;
  }

  async #save(listed: readonly ListedJob[]): Promise<void> {
    this.#listed = listed;
    await writeJobList(this.listPath, { key: this.#cluster.key, jobs: listed });
  }

  /**
   * Jobs whose workers have left end by themselves; what does not in time is cancelled, like all that never had
   * workers.
   */
  async #end(ids: readonly string[], selfEnding: readonly string[]): Promise<void> {
    const { key, shell } = this.#cluster;
    const until = Date.now() + deadlines.jobEnds;
    let remaining = this.#listed.filter(({ id }) => ids.includes(id));
    while (remaining.some(({ id }) => selfEnding.includes(id)) && Date.now() < until) {
      const states = await statesOf(remaining, shell);
      remaining = remaining.filter(({ id }) => states.get(id) !== "gone" && states.get(id) !== "ending");
      if (remaining.every(({ id }) => !selfEnding.includes(id))) break;
      await sleep(500);
    }
    const foreign = await cancelMarked(remaining, key, shell);
    await this.#save(this.#listed.filter(({ id }) => !ids.includes(id)));
    refuseForeign(foreign, this.listPath);
  }
}

/** The states of listed jobs, of whichever batch systems they are. */
async function statesOf(jobs: readonly ListedJob[], shell: Shell): Promise<ReadonlyMap<string, JobState>> {
  const names = [...new Set(jobs.map(({ system }) => system))];
  const maps = await Promise.all(
    names.map(async (name) =>
      batchSystem(name).states(
        jobs.filter((job) => job.system === name).map(({ id }) => id),
        shell,
      ),
    ),
  );
  return new Map(maps.flatMap((map) => [...map]));
}

/**
 * A worker's metrics: `task_counts` by state since Dask 2023, single counts before; `managed_bytes`, else the process's
 * memory.
 */
function workersOf(found: SchedulerIdentity): readonly FoundWorker[] {
  return Object.entries(found.workers).map(([address, worker]) => {
    const metrics = record(worker["metrics"]);
    const counts = "task_counts" in metrics ? record(metrics["task_counts"]) : metrics;
    const busy = [
      "executing",
      "long-running",
      "ready",
      "constrained",
      "waiting",
      "fetch",
      "flight",
      "in_flight",
      "resumed",
    ];
    return {
      address,
      name: String(worker.name ?? address),
      busy: busy.reduce((sum, state) => sum + count(counts[state]), 0),
      bytes: count(metrics["managed_bytes"] ?? metrics["memory"]),
      resources: record(worker["resources"]),
    };
  });
}

/** The groups of a cluster whose workers have resources that tasks can ask for. */
function withResources({ tsdask }: Pick<SchedulerFile, "tsdask">): readonly ClusterGroup[] {
  return (tsdask?.groups ?? []).filter(({ resources }) => Object.keys(resources).length > 0);
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function count(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
