import { Failure } from "../errors/failure.ts";
import type { BatchName, JobState, Ran } from "./system.ts";

/** A refusal that is recognised in a batch system's words, and what to do about it. */
export type Hint = readonly [words: RegExp, cure: string];

/** Failure TSD-090: the batch system refused a job; its own words, and the cure that fits them. */
export function refused(system: BatchName, command: string, ran: Ran, hints: readonly Hint[]): Failure {
  const words = wordsOf(ran);
  const cure =
    (serverIsAway(words) ? serverAway : undefined) ??
    hints.find(([pattern]) => pattern.test(words))?.[1] ??
    "Correct the script's directives, or the options it was generated from, as these words say.";
  return new Failure("TSD-090", { system, command, words, code: ran.code, hint: cure });
}

/** Whether a command's words say that its server does not answer, whatever was submitted. */
export const serverIsAway = (words: string): boolean => unreachable.test(words);

const unreachable =
  /unable to contact|socket timed out|cannot contact|(can(no|')t|cannot|failed to|unable to) (connect|reach)|connection (refused|timed out|failure)|not responding|no route to host|communication (failure|error)|is (lsf|the server) down|configuration source|fetch_config/i;
const serverAway =
  "The batch system's server does not answer on this host: try its own status command (`scontrol ping`, `qstat -B`, `bhosts`), run this on a login node, or ask the site. Nothing is wrong with the job.";

/** Failure TSD-093: an answer that has another form than the known one. */
export function notUnderstood(system: BatchName, command: string, text: string): Failure {
  const cure =
    "Please report it with these words. Submit and cancel by hand until then; give the end of the job with --walltime.";
  return new Failure("TSD-093", { system, command, words: shorten(text) || "(nothing)", cure });
}

/** Failure TSD-094: the batch system did not answer a question. */
export function noAnswer(system: BatchName, command: string, ran: Ran): Failure {
  return new Failure("TSD-094", { system, command, words: wordsOf(ran), code: ran.code });
}

/** Failure TSD-095: the batch system did not cancel jobs. */
export function notCancelled(system: BatchName, command: string, ids: readonly string[], ran: Ran): Failure {
  return new Failure("TSD-095", {
    system,
    jobs: ids.join(" "),
    words: wordsOf(ran),
    line: `${command} ${ids.join(" ")}`,
  });
}

/** Whether each line that a command wrote on stderr is one of the expected kind, and there is at least one. */
export function onlySays(ran: Ran, expected: RegExp): boolean {
  const said = lines(ran.stderr === "" ? ran.stdout : ran.stderr);
  return said.length > 0 && said.every((line) => expected.test(line));
}

/** The lines of a text that are not blank, trimmed. */
export function lines(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/**
 * What `form` finds in the line of an answer that names the job: the last one, else the only one of this form, as a
 * site's wrapper may add lines of its own. Null where there is none. Pure.
 */
export function jobLine(answer: string, form: RegExp): RegExpExecArray | null {
  const found = lines(answer).map((line) => form.exec(line));
  const [only = null, ...more] = found.filter((match) => match !== null);
  return found.at(-1) ?? (more.length === 0 ? only : null);
}

/**
 * The state that a batch system's word stands for; undefined for one that is not in the table (`constructor` is in
 * every object).
 */
export function stateNamed(table: Readonly<Record<string, JobState>>, word: string | undefined): JobState | undefined {
  return word !== undefined && Object.hasOwn(table, word) ? table[word] : undefined;
}

/** The states of `ids`: those found, and `gone` for the others; of several tasks of one job the liveliest counts. */
export function statesOf(
  ids: readonly string[],
  found: readonly (readonly [id: string, state: JobState])[],
): ReadonlyMap<string, JobState> {
  const order: readonly JobState[] = ["gone", "ending", "held", "pending", "suspended", "running"];
  const states = new Map<string, JobState>(ids.map((id) => [id, "gone"]));
  for (const [id, state] of found) {
    const known = states.get(id);
    if (known !== undefined && order.indexOf(state) > order.indexOf(known)) states.set(id, state);
  }
  return states;
}

function wordsOf({ stderr, stdout, code }: Ran): string {
  return shorten(stderr) || shorten(stdout) || `it only returned exit code ${code}`;
}

function shorten(text: string): string {
  const joined = lines(text).join("; ");
  return joined.length > 600 ? `${joined.slice(0, 600)} …` : joined;
}
