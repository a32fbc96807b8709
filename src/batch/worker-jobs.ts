import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { credentialsFor } from "../dask/live-cluster.ts";
import { refuseOpen } from "../dask/open-cluster.ts";
import { readSchedulerFile } from "../dask/read-scheduler-file.ts";
import { callScheduler, identity, retireWorkers, type SchedulerEndpoint } from "../dask/rpc.ts";
import type { ClusterGroup, SchedulerFile } from "../dask/scheduler-file.ts";
import { settingValues } from "../dask/settings.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import type { Trust } from "../security/trusted-file.ts";
import { comesBack, firstIn, isOfJob, stateUnseen, stillArrives, type GrowthPlan, type JobSeen } from "./growth.ts";
import { workersOf, withResources, type FoundWorker } from "./found-workers.ts";
import { batchSystem } from "./job.ts";
import { isInReach, readJobList, writeJobList, type ListedJob } from "./job-list.ts";
import { jobListPath } from "./job-list-path.ts";
import { cancelLines, cancelMarked, markOf, refuseForeign } from "./mark.ts";
import { isAway } from "./patience.ts";
import { whyPending, type Pending } from "./pending.ts";
import { Submitter, withoutList, type SubmitInput } from "./submit.ts";
import type { BatchName, JobState, Shell, Submission } from "./system.ts";

/** A cluster that grows and shrinks by worker jobs. */
export interface WorkerJobs {
  readonly schedulerFile: string;
  /** Where its worker jobs are listed. */
  readonly listPath: string;
  /** A scheduler that dies is started again. */
  readonly schedulerReturns: boolean;
  /** Looks at the scheduler's workers, then at the batch system's jobs, and brings the list up to date. */
  readonly look: () => Promise<View>;
  /** The ids of the jobs on the list, those submitted last at its end. */
  readonly listed: () => readonly string[];
  /**
   * Whether the scheduler still answers as the one of the file; false when the file has gone or is another launch's.
   */
  readonly sameCluster: () => Promise<boolean>;
  /**
   * Whether the cluster's own job has been stopped for now by its batch system; undefined when that does not answer,
   * false where it cannot be asked.
   */
  readonly suspended: () => Promise<boolean | undefined>;
  /**
   * How many workers the present work asks for: by Dask's own adaptive scaling, and for the workers of a group alone
   * where there are groups.
   */
  readonly adaptiveTarget: (targetDuration: number | undefined) => Promise<number>;
  /** Why those of the view's jobs that wait do so, as far as their batch systems say. */
  readonly pending: (view: View) => Promise<readonly Pending[]>;
  /**
   * Tells the scheduler that there may be so many workers, with those that are no concern of these jobs; one that does
   * not know of it is left as it is.
   */
  readonly expect: (workers: number) => Promise<void>;
  /** Submits so many jobs; where it fails, those that were taken before are at the end of `listed`. */
  readonly submit: (count: number) => Promise<readonly string[]>;
  /**
   * Retires these jobs' workers, then cancels the jobs; returns the ids of those that left (others hold data that had
   * no other place).
   */
  readonly release: (plan: Pick<GrowthPlan, "retire" | "cancel">) => Promise<readonly string[]>;
  /** Cancels all listed jobs in reach at once, for a cluster that has ended; returns their ids. */
  readonly cancelAll: () => Promise<readonly string[]>;
  /** The batch systems' own lines that cancel the listed jobs. */
  readonly cancelLines: () => readonly string[];
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
  /** Workers that the whole cluster may have, as the launches of its jobs are told. */
  readonly expected: number;
}

/**
 * Opens the cluster of a scheduler file. Throws Failure TSD-023, TSD-024, TSD-120, TSD-121 (the file), TSD-073, TSD-074
 * (its credentials); the workers's functions throw what Dask's calls (TSD-075 to TSD-078), the batch systems (TSD-090
 * to TSD-095) and the job list (TSD-099; TSD-072 and TSD-149 for new jobs) throw.
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

class ClusterJobs implements WorkerJobs {
  readonly schedulerFile: string;
  readonly listPath: string;
  readonly schedulerReturns: boolean;
  readonly #cluster: OpenedCluster;
  #listed: readonly ListedJob[];
  /** The jobs as they are written down. */
  #written: string;
  readonly #submitter: Submitter;
  #schedulerId: string;
  /** Workers of other groups at the last look. */
  #elsewhere = 0;
  /** Those that work can ask for. */
  readonly #groups: readonly ClusterGroup[];
  /** Jobs that their batch system has known, and those of the last look that it could not tell of. */
  readonly #seen = new Set<string>();
  readonly #unseen = new Set<string>();
  /** When each job was last seen to run (ms). */
  readonly #ran = new Map<string, number>();

  constructor(cluster: OpenedCluster, listed: readonly ListedJob[]) {
    this.schedulerFile = cluster.schedulerFile;
    this.listPath = cluster.listPath;
    this.schedulerReturns = cluster.file.tsdask?.schedulerReturns === true;
    this.#cluster = cluster;
    this.#listed = listed;
    this.#written = JSON.stringify(listed);
    this.#schedulerId = cluster.file.id;
    this.#groups = withResources(cluster.file);
    const { system, shell, submission, schedulerFile, key } = cluster;
    const work = { ...submission, mark: markOf(key), env: { ...submission.env, TSDASK_SCHEDULER_FILE: schedulerFile } };
    const list: SubmitInput["list"] = (ids, taken) => this.#add(ids, taken);
    this.#submitter = new Submitter({ system, shell, work, listed: () => this.listed(), list });
  }

  async look(): Promise<View> {
    const { scheduler, shell } = this.#cluster;
    const found = await identity(scheduler);
    const all = workersOf(found);
    const states = await statesOf(this.#listed.filter(isInReach), shell);
    const schedulerIsNew = found.id !== this.#schedulerId;
    this.#schedulerId = found.id;
    const now = shell.now();
    const looked = this.#listed.map((job) => {
      const own = all.filter(({ name }) => isOfJob(name, job.id));
      const state = this.#stateOf(job, states.get(job.id), { workers: own.length, started: found.started ?? 0, now });
      // A job that was preempted and is in the queue again is to join anew.
      const joined = own.length > 0 || (job.joined && state !== "pending");
      const first = joined ? firstIn(job, { workers: own.length, now }) : undefined;
      const listed = { ...job, joined, firstIn: first };
      const one = { ...listed, state, workers: own, ...this.#settling(job.id, state) };
      const back = comesBack(one, { started: found.started ?? 0, now });
      const arrives = stillArrives(state, first, now);
      const seen = {
        ...one,
        ...(back ? { returning: true as const } : {}),
        ...(arrives ? { arriving: true as const } : {}),
      };
      return { listed, seen };
    });
    const live = looked.filter(({ seen }) => seen.state !== "gone");
    const failed = looked.filter(({ seen }) => seen.state === "gone" && !seen.joined).map(({ listed }) => listed.id);
    await this.#note(live.map(({ listed }) => listed));
    const jobs = live.map(({ seen }) => seen);
    const brought = new Set(jobs.flatMap((job) => job.workers));
    const others = all.filter((worker) => !brought.has(worker) && this.#counts(worker)).length;
    this.#elsewhere = all.length - brought.size - others;
    return { workers: brought.size + others, others, jobs, failed, schedulerIsNew };
  }

  listed(): readonly string[] {
    return this.#listed.map(({ id }) => id);
  }

  /** Whether a worker that no job of the list brought is one of the group. */
  #counts({ resources }: FoundWorker): boolean {
    return this.#groups.find((one) => isDeepStrictEqual(one.resources, resources))?.name === this.#cluster.group?.name;
  }

  /** A job's state: what its batch system says, or what follows where it says nothing of it, or cannot be asked. */
  #stateOf(job: ListedJob, said: JobState | undefined, now: Parameters<typeof stateUnseen>[1]): JobState {
    const seen = said !== undefined && said !== "gone";
    if (seen) this.#seen.add(job.id);
    const state = seen ? said : stateUnseen({ ...job, seen: this.#seen.has(job.id), reach: isInReach(job) }, now);
    if (seen || state === "gone") this.#unseen.delete(job.id);
    else this.#unseen.add(job.id);
    return state;
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
    return this.#submitter.submit(count);
  }

  /** Lists jobs, the last of those `taken`; what can be on no list is cancelled. Throws TSD-072, TSD-149. */
  async #add(ids: readonly string[], taken: readonly string[]): Promise<void> {
    const { system, shell, perJob: expected } = this.#cluster;
    const common = { system, host: hostname(), submitted: Math.floor(shell.now()), expected, joined: false };
    const before = this.#listed;
    let trouble: Failure | undefined;
    try {
      if (await this.#save([...before, ...ids.map((id) => ({ ...common, id }))])) return;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      trouble = error;
    }
    // A cluster that has ended has cancelled those that were listed when it did, and maybe not all of them.
    const unlisted = trouble === undefined ? taken : ids;
    this.#listed = before.filter(({ id }) => !unlisted.includes(id));
    throw await withoutList(unlisted, this.#cluster, trouble);
  }

  async release({ retire, cancel }: Pick<GrowthPlan, "retire" | "cancel">): Promise<readonly string[]> {
    const workers = retire.flatMap((job) => job.workers.map(({ address }) => address));
    const retired =
      workers.length === 0
        ? []
        : await retireWorkers(this.#cluster.scheduler, { workers }, { deadline: deadlines.retireWorkers });
    const left = retire.filter((job) => job.workers.every(({ address }) => retired.includes(address)));
    // What cannot be seen cannot be cancelled either: it stays on the list.
    const leaving = [...left, ...cancel.filter((job) => !this.#unseen.has(job.id))].map(({ id }) => id);
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

  async suspended(): Promise<boolean | undefined> {
    const { file, shell } = this.#cluster;
    const { system, id } = file.tsdask?.job ?? { system: "local" };
    if (id === undefined || system === "local") return false;
    try {
      return (await batchSystem(system).states([id], shell)).get(id) === "suspended";
    } catch (error) {
      if (isAway(error)) return undefined;
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
    const { scheduler, file, expected } = this.#cluster;
    const all = Math.max(expected, workers + this.#elsewhere);
    const settings = settingValues({ workers: all, here: 1, cores: 1 });
    if (file.tsdask === undefined || Object.keys(settings).length === 0) return;
    await callScheduler(scheduler, "tsdask_expect", { settings });
  }

  async cancelAll(): Promise<readonly string[]> {
    const jobs = this.#listed.filter(isInReach);
    const foreign = await cancelMarked(jobs, this.#cluster.key, this.#cluster.shell);
    await this.#note(this.#listed.filter((job) => !isInReach(job)));
    refuseForeign(foreign, this.listPath);
    return jobs.map(({ id }) => id);
  }

  cancelLines(): readonly string[] {
    return cancelLines(this.#listed);
  }

  /** Writes the list down if it has changed; resolves to false where its folder has gone. Throws TSD-072. */
  async #save(listed: readonly ListedJob[]): Promise<boolean> {
    this.#listed = listed;
    const text = JSON.stringify(listed);
    if (text === this.#written) return true;
    const kept = await writeJobList(this.listPath, { key: this.#cluster.key, jobs: listed });
    if (kept) this.#written = text;
    return kept;
  }

  /**
   * As `#save`, for a list without new jobs: where it cannot be written just now, the older one names jobs that are
   * over, which harms nobody, and it is written at the next look.
   */
  async #note(listed: readonly ListedJob[]): Promise<void> {
    await this.#save(listed).catch((error: unknown) => {
      if (!(error instanceof Failure)) throw error;
    });
  }

  /**
   * Jobs whose workers have left end by themselves; what does not in time is cancelled, like all that never had
   * workers.
   */
  async #end(ids: readonly string[], selfEnding: readonly string[]): Promise<void> {
    const { key, shell } = this.#cluster;
    const until = Date.now() + deadlines.jobEnds;
    let remaining = this.#listed.filter((job) => ids.includes(job.id) && isInReach(job));
    while (remaining.some(({ id }) => selfEnding.includes(id)) && Date.now() < until) {
      const states = await statesOf(remaining, shell);
      remaining = remaining.filter(({ id }) => states.get(id) !== "gone" && states.get(id) !== "ending");
      if (remaining.every(({ id }) => !selfEnding.includes(id))) break;
      await sleep(500);
    }
    const foreign = await cancelMarked(remaining, key, shell);
    await this.#note(this.#listed.filter(({ id }) => !ids.includes(id)));
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
