import type { Finished } from "../integration/bed/run.ts";
import { type Fault, isHarmless, type Round, type Target } from "./plan.ts";

const lethal = (fault: Fault): boolean => fault.kind === "signal" && fault.signal !== "SIGSTOP";

const mayBeLauncher = (part: Target): boolean => part === "launcher" || part === "any process";

/** Whether somebody of ours was there to the end who can say why: mpirun ends all ranks when one was killed. */
function canTell({ launcher, faults }: Round): boolean {
  const hit = faults.filter(lethal).flatMap((fault) => (fault.kind === "signal" ? [fault.part] : []));
  if (hit.some(mayBeLauncher) || faults.length > 1) return false;
  const ranks = hit.filter((part) => part === "rank 0" || part.endsWith("'s rank"));
  return launcher === "local" || ranks.length === 0;
}

/**
 * What Dask's Client says in the script's own Python when its scheduler is gone, tracebacks among it: how much of it is
 * shown, the script's own logging settings say.
 */
const saidByClient =
  /^.* - distributed\.(batched|client|core|comm\S*) - [A-Z]+ - [\s\S]*?(?=^tsdask-mpi|^\S+ \S+ - distributed|(?![\s\S]))/gm;

/** What Python writes when SIGINT comes before it has come to its script, in the script's lines or in their imports. */
const saidByInterrupted =
  /^(?:Fatal Python error: .*\nPython runtime state: .*\n)?Traceback \(most recent call last\):\n(?: {2}File "(?:<frozen [^>]*>|[^"]*\/script\.py|[^"]*\/lib\/python3\.\d+\/(?!site-packages)[^"]*)", line \d+.*\n(?: {4}.*\n)*)+KeyboardInterrupt\n/gm;

/**
 * Whether Open MPI came to nobody of ours, because the second host was cut off from it, or it could not make its own
 * folder among the temporary ones.
 */
const wasNeverStarted = ({ faults }: Round, stderr: string): boolean =>
  !stderr.includes("tsdask-mpi") &&
  ((faults.some(({ kind }) => kind === "cut") &&
    /^ORTE was unable to reliably start one or more daemons/m.test(stderr)) ||
    (faults.some((fault) => "place" in fault && fault.place === "tmp") &&
      /^ {2}orte_session_dir failed$/m.test(stderr)));

/**
 * Whether Hydra may start ranks for a launch that it has otherwise ended: where a rank of one host is killed while the
 * other host is cut off, it starts that one's when it is back. They wait for the others until `--start-timeout`.
 */
export const mayBeHalfStarted = ({ launcher, faults }: Round): boolean =>
  launcher === "mpich" && faults.some(({ kind }) => kind === "cut") && faults.some(lethal);

/** A launch that has waited for ranks that did not come has taken longer than this (s). */
const late = 60;

/** What is wrong with how a round ended. */
export function findings(round: Round, finished: Finished | undefined, swept: boolean): string[] {
  if (finished === undefined) return ["it did not end in time"];
  const { stdout, code } = finished;
  if (wasNeverStarted(round, finished.stderr)) return [];
  const interrupted = round.faults.some((fault) => fault.kind === "signal" && fault.signal === "SIGINT");
  const all = interrupted ? finished.stderr.replaceAll(saidByInterrupted, "") : finished.stderr;
  const stderr = /^lost /m.test(stdout) ? all.replaceAll(saidByClient, "") : all;
  const found: string[] = [];
  if (mayBeHalfStarted(round) && finished.seconds > late && !/TSD-(022|031) /.test(stderr))
    found.push("it ended late, and no message says why");
  const own = round.script === "served" ? undefined : round.code;
  const result = /^result 28\r?$/m.test(stdout);
  const toLauncher = round.faults.some((fault) => fault.kind === "signal" && mayBeLauncher(fault.part));
  if (/Traceback \(most recent|^ +at .+:\d+:\d+\)?$|Fatal Python error/m.test(stderr)) found.push("a traceback");
  if (/TSD-070/.test(stderr)) found.push("TSD-070, a defect of ours");
  // Hydra's mpiexec now and then ends with 0 when it was told to end.
  if (code === 0 && own !== undefined && !result && !(toLauncher && round.launcher === "mpich"))
    found.push("exit code 0 without the script's result");
  if (own !== undefined && round.faults.every(isHarmless) && (code !== own || !result))
    found.push(`${code ?? finished.signal} instead of the script's ${own}, though nothing of it was hurt`);
  if (
    own !== undefined &&
    code !== own &&
    canTell(round) &&
    !/TSD-\d{3}|stopped by|ended with exit code \d+|was ended by/.test(stderr)
  )
    found.push(`exit code ${code ?? finished.signal}, and no message that says why`);
  if (swept && !mayLeave(round)) found.push("files were left, which the next launch had to remove");
  return found;
}

/**
 * Of what is left in the end, that which must not be. A cluster folder without the file that says whose it is (`done`
 * tells that it was removed) stays when all were killed: anything else could have been put there under such a name.
 */
export function misplaced(round: Round, done: readonly string[], left: readonly string[]): readonly string[] {
  const folder = /removed cwd\/(\.tsdask-[0-9a-f]{16})\/owner\b/.exec(done.join("\n"))?.[1];
  if (folder === undefined || !mayLeave(round)) return left;
  return left.filter((line) => !line.startsWith(`file in the working directory: ${folder}`));
}

/** Whether those were killed, or kept from it, who remove a launch's files. */
function mayLeave({ launcher, faults }: Round): boolean {
  return faults.some(
    (fault) =>
      fault.kind === "read-only" ||
      fault.kind === "full" ||
      (fault.kind === "signal" &&
        fault.signal !== "SIGSTOP" &&
        (launcher === "srun" || /rank|fork|launcher|any/.test(fault.part))),
  );
}
