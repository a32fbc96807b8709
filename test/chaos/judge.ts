import type { Finished } from "../integration/bed/run.ts";
import { type Fault, isHarmless, type Round } from "./plan.ts";

const lethal = (fault: Fault): boolean => fault.kind === "signal" && fault.signal !== "SIGSTOP";

/** Whether somebody of ours was there to the end who can say why: mpirun ends all ranks when one was killed. */
function canTell({ launcher, faults }: Round): boolean {
  const hit = faults.filter(lethal).flatMap((fault) => (fault.kind === "signal" ? [fault.part] : []));
  if (hit.includes("launcher") || faults.length > 1) return false;
  const ranks = hit.filter((part) => part === "rank 0" || part.endsWith("'s rank"));
  return launcher === "local" || ranks.length === 0;
}

/**
 * What Dask's Client says in the script's own Python when its scheduler is gone, tracebacks among it: how much of it is
 * shown, the script's own logging settings say.
 */
const saidByClient =
  /^.* - distributed\.(batched|client|core|comm\S*) - [A-Z]+ - [\s\S]*?(?=^tsdask-mpi|^\S+ \S+ - distributed|(?![\s\S]))/gm;

/** What Python writes when SIGINT comes before it has come to its script, or in the script's own lines. */
const saidByInterrupted =
  /^(?:Fatal Python error: .*\nPython runtime state: .*\n)?Traceback \(most recent call last\):\n(?: {2}File "(?:<frozen [^>]*>|[^"]*\/script\.py)", line \d+.*\n(?: {4}.*\n)*)+KeyboardInterrupt\n/gm;

/** Whether Open MPI came to nobody of ours, because the second host was cut off from it. */
const wasNeverStarted = ({ faults }: Round, stderr: string): boolean =>
  faults.some(({ kind }) => kind === "cut") &&
  /^ORTE was unable to reliably start one or more daemons/m.test(stderr) &&
  !stderr.includes("tsdask-mpi");

/** What is wrong with how a round ended. */
export function findings(round: Round, finished: Finished | undefined, swept: boolean): string[] {
  if (finished === undefined) return ["it did not end in time"];
  const { stdout, code } = finished;
  if (wasNeverStarted(round, finished.stderr)) return [];
  const interrupted = round.faults.some((fault) => fault.kind === "signal" && fault.signal === "SIGINT");
  const all = interrupted ? finished.stderr.replaceAll(saidByInterrupted, "") : finished.stderr;
  const stderr = /^lost /m.test(stdout) ? all.replaceAll(saidByClient, "") : all;
  const own = round.script === "served" ? undefined : round.code;
  const result = /^result 28\r?$/m.test(stdout);
  const toLauncher = round.faults.some((fault) => fault.kind === "signal" && fault.part === "launcher");
  const found: string[] = [];
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
        (launcher === "srun" || /rank|fork|launcher/.test(fault.part))),
  );
}
