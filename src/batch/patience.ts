import { Failure } from "../errors/failure.ts";
import { serverIsAway } from "./answers.ts";

/**
 * Whether a batch system did not do what it was asked: it refused a job (TSD-090), its command was not found (TSD-091)
 * or did not end (TSD-092), the answer was not understood (TSD-093) or an error (TSD-094), a job was not cancelled
 * (TSD-095).
 */
export function isBatchFailure(error: unknown): error is Failure {
  return error instanceof Failure && /^TSD-09[0-5]$/.test(error.code);
}

/** What a batch system is asked for: the states of jobs, to take some, to cancel some. */
export type Request = "look" | "submit" | "release";

export interface Verdict {
  /** It is not to be asked again. */
  readonly givesUp: boolean;
  /** What people are to be told; undefined when they know already. */
  readonly say: string | undefined;
}

/**
 * How long a command that runs for hours bears with its batch system. A controller that restarts, a server that is
 * overloaded or a limit of the user's passes, and the jobs that run do not need it meanwhile. What fails at the start
 * is wrong from the start. Has no clock: all times are given, in ms.
 */
export class BatchPatience {
  readonly #silence: number;
  readonly #pause: number;
  #begun = false;
  #taken = false;
  /** Since when requests of a kind fail. */
  readonly #since = new Map<Request, number>();
  /** When the next one of a kind may be made. */
  readonly #next = new Map<Request, number>();
  readonly #told = new Set<Request>();

  /** Gives up after so much `silence`; a job that was not taken or not cancelled is tried again after `pause`. */
  constructor({ silence, pause }: { readonly silence: number; readonly pause: number }) {
    this.#silence = silence;
    this.#pause = pause;
  }

  /** It has done, once, all that it was asked: the start is over. */
  begin(): void {
    this.#begun = true;
  }

  /** It has taken jobs, if only some of those that it was to take. */
  taken(): void {
    this.#taken = true;
  }

  may(request: Request, now: number): boolean {
    return now >= (this.#next.get(request) ?? -Infinity);
  }

  /** There is nothing of this kind to ask for just now. */
  needless(request: Request): void {
    this.#since.delete(request);
  }

  /** It did what it was asked; returns what people are to be told. */
  done(request: Request): string | undefined {
    const wasAway = this.#told.delete(request) && request === "look";
    this.#since.delete(request);
    this.#next.delete(request);
    return wasAway ? "the batch system answers again." : undefined;
  }

  /**
   * It did not do what it was asked while so many `jobs` were there. Without new ones those go on, and so does whoever
   * looks after them: patience with a batch system that takes no jobs begins to end when none is left.
   */
  failed(request: Request, failure: Failure, { now, jobs }: { readonly now: number; readonly jobs: number }): Verdict {
    const needed = request === "look" || (request === "submit" && jobs === 0);
    const since = needed ? (this.#since.get(request) ?? now) : now;
    this.#since.set(request, since);
    if (request !== "look") this.#next.set(request, now + this.#pause);
    const givesUp = this.#isHopeless(request, failure, jobs) || (needed && now - since >= this.#silence);
    if (givesUp || this.#told.has(request)) return { givesUp, say: undefined };
    this.#told.add(request);
    const what = firstClause(failure);
    return { givesUp, say: `${what}; what runs stays, and it is asked again.` };
  }

  #isHopeless(request: Request, failure: Failure, jobs: number): boolean {
    if (request !== "submit") return !this.#begun;
    // Jobs may have been taken, and nobody knows their numbers: asking again would bring ever more of them.
    if (failure.code === "TSD-093" || failure.facts["answer"] === "lost") return true;
    return !this.#taken && (!this.#begun || (jobs === 0 && !isAway(failure)));
  }
}

/** Whether a batch system did not answer, as against an answer that says no. */
export function isAway(error: unknown): boolean {
  if (!(error instanceof Failure)) return false;
  const { code, facts } = error;
  return (
    code === "TSD-092" ||
    code === "TSD-094" ||
    ((code === "TSD-090" || code === "TSD-095") && serverIsAway(String(facts["words"])))
  );
}

/**
 * Whether the jobs of a submission may have been taken though `command` failed: it did not end in time, it was killed
 * (code 128 of `run.ts`), its answer was not understood, or Slurm's controller was reached and its answer did not come.
 * Not where the controller was not reached at all.
 */
export function isAnswerLost(error: unknown, command: string): error is Failure {
  if (!(error instanceof Failure)) return false;
  const { code, facts } = error;
  if (code === "TSD-092") return facts["command"] === command;
  if (code === "TSD-093") return true;
  const lost = /socket timed out on send\/recv|zero bytes were transmitted or received/i;
  return code === "TSD-090" && (facts["code"] === 128 || lost.test(String(facts["words"])));
}

/**
 * The failure of a submission whose jobs may have been taken, with that for a cure; `look` is the command that shows
 * them. Where they cannot be `asked` for, nobody is to submit again: that might bring ever more of them.
 */
export function withLostJobs(
  failure: Failure,
  { asked, look }: { readonly asked: boolean; readonly look: string },
): Failure {
  const { code, facts } = failure;
  const odd = code === "TSD-093";
  const fate = odd ? "was probably taken, and is" : "may have been taken all the same, and is then";
  const report = odd ? " Please report the quoted words." : "";
  const cure = `The job ${fate} on no list: look into the queue (\`${look}\`) before you submit again, and cancel what is too many.${report}`;
  const lost = asked ? {} : { answer: "lost" };
  return new Failure(code, { ...facts, ...lost, cure, hint: cure }, { cause: failure });
}

/** A failure's first line, for a sentence that goes on. */
export const firstClause = (failure: Failure): string => firstLine(failure).replace(/[.;:]+$/, "");

/** A failure in one line, with its code. */
export function firstLine(failure: Failure): string {
  return failure.message.split("\n", 1)[0] ?? "";
}
