import { Failure } from "../errors/failure.ts";
import { batchSystem } from "./job.ts";
import { cancelLine, queueLine } from "./mark.ts";
import { isAnswerLost, withLostJobs } from "./patience.ts";
import type { BatchName, Shell, Submission } from "./system.ts";

/**
 * Jobs that are submitted with one command at most, as an array: Slurm's own limit is 1000 tasks where the site says
 * nothing else.
 */
const mostTasks = 500;

export interface SubmitInput {
  readonly system: BatchName;
  readonly shell: Shell;
  readonly work: Submission & { readonly mark: string };
  readonly listed: () => readonly string[];
  /** Lists these jobs, the last of those that were `taken` with them; throws where it cannot. */
  readonly list: (ids: readonly string[], taken: readonly string[]) => Promise<void>;
}

/** Submits the jobs of a list. */
export class Submitter {
  readonly #input: SubmitInput;
  /** Jobs may have been taken without a word: they are asked for before more are submitted, however late they come. */
  #answerLost = false;

  constructor(input: SubmitInput) {
    this.#input = input;
  }

  /**
   * Submits so many jobs, and lists them as they are taken; resolves to their ids. Those that were taken before without
   * a word count. Throws what submitting, asking for them (TSD-094) and `list` throw.
   */
  async submit(count: number): Promise<readonly string[]> {
    const { system, shell, work, list } = this.#input;
    const { submitArray, submit } = batchSystem(system);
    const taken: string[] = [];
    const add = async (ids: readonly string[]): Promise<void> => {
      taken.push(...ids);
      if (ids.length > 0) await list(ids, taken);
    };
    if (this.#answerLost) await add(await this.#unlisted());
    let tasks = submitArray === undefined ? 0 : mostTasks;
    while (taken.length < count) {
      const wanted = Math.min(tasks, count - taken.length);
      // No arrays here, or none as large.
      if (wanted <= 1) tasks = 0;
      const ids = await this.#answer(async () =>
        tasks === 0 ? [await submit(work, shell)] : await submitArray?.(work, wanted, shell),
      );
      if (ids === undefined) tasks = 0;
      else await add(ids);
    }
    return taken;
  }

  /** What a submission resolves to; where its answer is lost, the jobs that it brought all the same. */
  async #answer<T>(submission: () => Promise<T>): Promise<T | readonly string[]> {
    const { submitCommand, marked } = batchSystem(this.#input.system);
    try {
      return await submission();
    } catch (error) {
      if (!isAnswerLost(error, submitCommand)) throw error;
      const told = { asked: marked !== undefined, look: queueLine(this.#input.system) };
      // One that was killed was so by the Ctrl-C that ends this process, too.
      if (!told.asked) throw error.code === "TSD-090" ? error : withLostJobs(error, told);
      this.#answerLost = true;
      const found = await this.#unlisted().catch((failure: unknown) => {
        if (failure instanceof Failure) return [];
        throw failure;
      });
      if (found.length === 0) throw withLostJobs(error, told);
      return found;
    }
  }

  /** The jobs that are in the queue with the list's mark, and not on the list. */
  async #unlisted(): Promise<readonly string[]> {
    const { system, shell, work, listed } = this.#input;
    const known = new Set(listed());
    const ids = await batchSystem(system).marked?.(work.mark, shell);
    // A script that is an array itself is listed by the array's id.
    return (ids ?? []).filter((id) => !known.has(id) && !known.has(id.replace(/_\d+$/, "")));
  }
}

/**
 * Submits a job that is to be on no list of worker jobs; returns its id. Throws as `submit` of its batch system; where
 * the job may have been taken all the same, the failure says so.
 */
export async function submitOne(system: BatchName, submission: Submission, shell: Shell): Promise<string> {
  const { submit, submitCommand } = batchSystem(system);
  try {
    return await submit(submission, shell);
  } catch (error) {
    if (!isAnswerLost(error, submitCommand)) throw error;
    throw withLostJobs(error, { asked: false, look: queueLine(system) });
  }
}

/**
 * Cancels jobs that were taken and can be on no list, where nobody would ever end them. Resolves to the failure that
 * tells so: `trouble` is that of their list (TSD-072), undefined where its folder has gone with the cluster (TSD-149).
 */
export async function withoutList(
  ids: readonly string[],
  {
    system,
    shell,
    schedulerFile,
  }: { readonly system: BatchName; readonly shell: Shell; readonly schedulerFile: string },
  trouble: Failure | undefined,
): Promise<Failure> {
  const cancelled = await batchSystem(system)
    .cancel(ids, shell)
    .then(
      () => true,
      () => false,
    );
  const [jobs, were] = ids.length === 1 ? ["the job", "was"] : [`the ${ids.length} jobs`, "were"];
  const fate = cancelled ? `${were} cancelled` : `could not be cancelled: \`${cancelLine(system, ids)}\``;
  const told = `${jobs} submitted a moment ago ${fate}`;
  if (trouble === undefined)
    return new Failure("TSD-149", { name: schedulerFile, why: `its folder has gone; ${told}` });
  const { facts } = trouble;
  return new Failure(trouble.code, { ...facts, problem: `${facts["problem"]}; ${told}` }, { cause: trouble });
}
