import { allCame, growthPlan, type GrowthPlan, type JobSeen } from "../batch/growth.ts";
import { BatchPatience, firstClause, firstLine, isBatchFailure, type Request } from "../batch/patience.ts";
import { cannotRun } from "../batch/pending.ts";
import type { View, WorkerJobs } from "../batch/worker-jobs.ts";
import { isCallFailure } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { pauseFor } from "../timers.ts";
import { count } from "../ui/ranges.ts";
import { isUnreachable, jobsFailed, jobsText, leftText, pendingWatch } from "./scale.ts";

/** After so many looks in a row at which nothing was there, the scheduler is taken for ended. */
const missedLooks = 3;
/** How often it is said of a scheduler that is there that it does not answer, in ms. */
const sayAgain = 600_000;
/** After so many jobs in a row that ended before joining, adapt gives up. */
const mostFailures = 3;

/** What adapt works with: the worker jobs, the words of its options, and a signal that ends it. */
export interface AdaptInput {
  readonly workers: WorkerJobs;
  readonly perJob: number;
  readonly min: number;
  readonly max: number;
  /** Seconds. */
  readonly interval: number;
  readonly waitCount: number;
  readonly targetDuration: number | undefined;
  readonly say: (text: string) => void;
  readonly ended: AbortSignal;
}

/**
 * Looks and acts until the cluster ends or `ended` fires. Throws Failure TSD-075 to TSD-078 when the scheduler is there
 * and has not answered for too long, TSD-090 to TSD-095 when the batch system has failed for good, TSD-097 when jobs
 * fail again and again, and TSD-141 for jobs that can never run.
 */
export async function adapt(input: AdaptInput): Promise<"cluster" | "signal"> {
  const follower = new Follower(input);
  while (!input.ended.aborted) {
    try {
      if (!(await follower.round())) return "cluster";
    } catch (error) {
      // Its folder has gone while jobs were submitted: what became of these is told.
      if (!(error instanceof Failure) || error.code !== "TSD-149") throw error;
      input.say(firstLine(error));
      return "cluster";
    }
    await pauseFor(input.interval * 1000, input.ended);
  }
  return "signal";
}

/** Follows a cluster's work, a look at a time. */
class Follower {
  readonly #input: AdaptInput;
  readonly #batch = new BatchPatience({ silence: deadlines.batchSilence, pause: deadlines.batchAgain });
  readonly #reasons: ReturnType<typeof pendingWatch>;
  /** At how many looks in a row each job was idle. */
  readonly #idle = new Map<string, number>();
  /** What was said once and is not said again. */
  readonly #told = new Set<string>();
  /** Jobs in a row that ended before joining. */
  #failures: string[] = [];
  /** Looks in a row at which nothing was there, and when something last was (ms). */
  #missed = 0;
  #lastThere = performance.now();
  /** Looks without an answer of a scheduler that is there, since when (ms), and when that was said last. */
  #unanswered = 0;
  #unansweredSince = 0;
  #saidBusy: number | undefined;
  /** When the scheduler was last seen (ms), and until when one that was started again is left alone. */
  #lastSeen = performance.now();
  #settles = 0;
  /** It has not been told how many workers the jobs that are there may bring. */
  #untold = false;
  /** What was said last of a cluster whose scheduler does not answer. */
  #away: string | undefined;

  constructor(input: AdaptInput) {
    this.#input = input;
    this.#reasons = pendingWatch(input.workers, input.say);
  }

  /** Looks once and acts; whether the cluster is still there. */
  async round(): Promise<boolean> {
    const { workers, targetDuration } = this.#input;
    let view: View;
    let wanted: number;
    try {
      view = await workers.look();
      this.#done("look");
      wanted = await workers.adaptiveTarget(targetDuration);
    } catch (error) {
      if (isCallFailure(error)) return this.#isThere(error);
      // The scheduler is asked first, and has answered.
      this.#schedulerAnswers();
      this.#bear("look", error);
      return true;
    }
    this.#schedulerAnswers();
    if (view.schedulerIsNew) {
      this.#settles = this.#lastSeen + deadlines.schedulerSettles;
      this.#untold = view.jobs.length > 0;
    }
    if (this.#untold) await this.#tellSize();
    const returning = view.jobs.some((job) => job.returning === true);
    if (this.#lastSeen >= this.#settles && !returning) await this.#follow(view, wanted);
    return true;
  }

  async #tellSize(): Promise<void> {
    try {
      await this.#input.workers.expect(this.#input.max);
      this.#untold = false;
    } catch (error) {
      // It is told at the next look.
      if (!isCallFailure(error)) throw error;
    }
  }

  #schedulerAnswers(): void {
    this.#missed = 0;
    this.#unanswered = 0;
    this.#away = undefined;
    this.#lastSeen = this.#lastThere = performance.now();
    if (this.#saidBusy !== undefined) this.#input.say("the scheduler answers again.");
    this.#saidBusy = undefined;
  }

  /**
   * Whether a cluster whose scheduler has not answered is there, or may come back. Throws the failure of one that is
   * there when it has not answered for too long.
   */
  async #isThere(failure: Failure): Promise<boolean> {
    const { workers } = this.#input;
    if (!(await workers.sameCluster())) return false;
    const now = performance.now();
    if (!isUnreachable(failure)) {
      this.#missed = 0;
      this.#lastThere = now;
      await this.#bearSilence(failure, now);
      return true;
    }
    this.#missed += 1;
    const patience = workers.schedulerReturns ? deadlines.schedulerBack : 0;
    const gone = now - this.#lastThere;
    if (this.#missed < missedLooks || gone < patience) return true;
    const suspended = await workers.suspended();
    if (suspended === false) return false;
    if (suspended === undefined && gone >= deadlines.batchSilence) return false;
    this.#sayAway(suspended);
    return true;
  }

  /**
   * A scheduler is there and does not answer, or with an error: a large graph keeps it busy, or its job is stopped.
   * That says nothing against its jobs. Throws the failure when it has lasted for too long.
   */
  async #bearSilence(failure: Failure, now: number): Promise<void> {
    this.#unanswered += 1;
    if (this.#unanswered === 1) this.#unansweredSince = now;
    if (this.#unanswered < missedLooks) return;
    if ((await this.#input.workers.suspended()) === true) {
      this.#unanswered = 0;
      this.#sayAway(true);
      return;
    }
    if (now - this.#unansweredSince >= deadlines.batchSilence) throw failure;
    if (this.#saidBusy !== undefined && now - this.#saidBusy < sayAgain) return;
    this.#saidBusy = now;
    this.#input.say(`${firstClause(failure)}; what runs stays, and it is asked again.`);
  }

  #sayAway(suspended: boolean | undefined): void {
    const away = suspended
      ? "the cluster's job is suspended; its worker jobs stay, and it is waited for."
      : "neither the scheduler nor the batch system answers; the worker jobs stay, and both are asked again.";
    if (away !== this.#away) this.#input.say(away);
    this.#away = away;
  }

  async #follow(view: View, wanted: number): Promise<void> {
    const { perJob, min, max, waitCount } = this.#input;
    const joins = view.jobs.some(({ joined }) => joined) && view.failed.length === 0;
    this.#failures = joins ? [] : [...this.#failures, ...view.failed];
    if (this.#failures.length >= mostFailures) throw jobsFailed(this.#failures);
    const stuck = cannotRun(await this.#reasons(view), { limits: false });
    if (stuck !== undefined) throw stuck;
    const target = Math.min(max, Math.max(min, wanted));
    const plan = growthPlan({
      target,
      others: view.others,
      jobs: view.jobs,
      perJob: Math.min(perJob, Math.max(1, max)),
      busyToo: false,
    });
    const text = `${count(target, "worker")} wanted, ${view.workers} in`;
    await this.#submit(plan.submit, view, text);
    await this.#release(patient(plan, this.#idle, waitCount), text);
    this.#batch.begin();
  }

  async #submit(wanted: number, view: View, text: string): Promise<void> {
    const { workers, perJob, max, say } = this.#input;
    // Whole jobs only: the last one is left out when it would pass --max, unless the cluster would have no worker at
    // all.
    const room = Math.floor(
      (max -
        view.others -
        view.jobs.reduce((sum, job) => sum + Math.max(job.workers.length, allCame(job) ? 0 : job.expected), 0)) /
        perJob,
    );
    const jobs = Math.min(wanted, Math.max(room, view.workers === 0 && view.jobs.length === 0 ? 1 : 0));
    if (jobs < wanted && perJob > 1)
      this.#sayOnce(`no more jobs: each brings ${perJob} workers, and another one would pass --max ${max}.`);
    if (jobs <= 0) {
      this.#batch.needless("submit");
      return;
    }
    if (!this.#batch.may("submit", performance.now())) return;
    const before = workers.listed().length;
    await this.#ask("submit", async () => {
      try {
        await workers.expect(max);
        await workers.submit(jobs);
      } finally {
        // Those that were taken before one was not are there, too.
        const ids = workers.listed().slice(before);
        if (ids.length > 0) say(`${text}: ${jobsText(ids)} submitted.`);
      }
    });
  }

  async #release(plan: GrowthPlan, text: string): Promise<void> {
    const { workers, say } = this.#input;
    if (plan.retire.length + plan.cancel.length === 0 || !this.#batch.may("release", performance.now())) return;
    await this.#ask("release", async () => {
      const left = await workers.release(plan);
      if (left.length > 0) say(`${text}: ${leftText(plan, left)}.`);
    });
  }

  /** Has the batch system do something that can be tried again. */
  async #ask(request: Request, act: () => Promise<void>): Promise<void> {
    const before = this.#input.workers.listed().length;
    try {
      await act();
      this.#done(request);
    } catch (error) {
      // The scheduler that has answered a moment ago may be on its way out, or busy: the next look tells.
      if (error instanceof Failure && error.code === "TSD-075") this.#sayOnce(`${firstLine(error)} It is asked again.`);
      else {
        if (this.#input.workers.listed().length > before) this.#batch.taken();
        this.#bear(request, error);
      }
    }
  }

  #done(request: Request): void {
    if (request === "submit") this.#batch.taken();
    const again = this.#batch.done(request);
    if (again !== undefined) this.#input.say(again);
  }

  /** Goes on without what the batch system did not do, as long as there is hope; throws the failure otherwise. */
  #bear(request: Request, error: unknown): void {
    if (!isBatchFailure(error)) throw error;
    const { workers, say } = this.#input;
    const jobs = workers.listed().length;
    const verdict = this.#batch.failed(request, error, { now: performance.now(), jobs });
    if (verdict.say !== undefined) say(verdict.say);
    if (verdict.givesUp) throw error;
  }

  #sayOnce(text: string): void {
    if (!this.#told.has(text)) this.#input.say(text);
    this.#told.add(text);
  }
}

/**
 * Keeps those jobs in the plan that were to leave at `waitCount` looks in a row; pending jobs too, since demand may
 * come back.
 */
function patient(plan: GrowthPlan, idle: Map<string, number>, waitCount: number): GrowthPlan {
  const leaving = new Set([...plan.retire, ...plan.cancel].map(({ id }) => id));
  for (const id of idle.keys()) if (!leaving.has(id)) idle.delete(id);
  for (const id of leaving) idle.set(id, (idle.get(id) ?? 0) + 1);
  const due = ({ id }: JobSeen): boolean => (idle.get(id) ?? 0) >= waitCount;
  return { submit: plan.submit, retire: plan.retire.filter(due), cancel: plan.cancel.filter(due) };
}
