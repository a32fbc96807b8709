import { createHash, randomBytes } from "node:crypto";
import { Failure } from "../errors/failure.ts";
import { batchSystem } from "./job.ts";
import { deleteLine } from "./kubernetes.ts";
import type { BatchName, Shell } from "./system.ts";

/** A job as its batch system knows it. */
interface KnownJob {
  readonly system: BatchName;
  readonly id: string;
}

/** A new secret for a list of worker jobs, 32 hexadecimal digits. */
export const newListKey = (): string => randomBytes(16).toString("hex");

/**
 * The mark that the batch system shows on the worker jobs of a list. Everybody may read it there: nobody can tell the
 * key from it, and so write a list whose jobs they are. Pure.
 */
export function markOf(key: string): string {
  return `tsdask-${createHash("sha256").update(`worker jobs ${key}`).digest("hex").slice(0, 24)}`;
}

/**
 * Cancels those of the jobs that their batch systems show with the list's mark; what they do not know has ended.
 * Resolves to the others, which are left alone. Throws what asking (TSD-091 to TSD-094) and cancelling (TSD-095) throw,
 * after all systems were tried.
 */
export async function cancelMarked<T extends KnownJob>(
  jobs: readonly T[],
  key: string,
  shell: Shell,
): Promise<readonly T[]> {
  const mark = markOf(key);
  const names = [...new Set(jobs.map(({ system }) => system))];
  const done = await Promise.allSettled(
    names.map(async (name) => {
      const own = jobs.filter(({ system }) => system === name);
      const texts = await batchSystem(name).marks(
        own.map(({ id }) => id),
        shell,
      );
      const marked = own.filter(({ id }) => texts.get(id)?.includes(mark) === true);
      await batchSystem(name).cancel(
        marked.map(({ id }) => id),
        shell,
      );
      return own.filter((job) => texts.has(job.id) && !marked.includes(job));
    }),
  );
  const failed = done.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return done.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
}

/** Throws Failure TSD-135 when a list named jobs that are none of its cluster's. */
export function refuseForeign(jobs: readonly KnownJob[], path: string): void {
  const [first] = jobs;
  if (first === undefined) return;
  const { system } = first;
  const ids = jobs.map(({ id }) => id);
  throw new Failure("TSD-135", { jobs: ids.join(" "), system, path, line: cancelLine(system, ids) });
}

/** The command line with which somebody cancels these jobs by hand. Pure. */
export const cancelLine = (system: BatchName, ids: readonly string[]): string =>
  system === "kubernetes" ? deleteLine(ids) : `${cancelCommands[system]} ${ids.join(" ")}`;

/** The lines with which people cancel these jobs, one of each batch system. Pure. */
export const cancelLines = (jobs: readonly KnownJob[]): readonly string[] =>
  [...Map.groupBy(jobs, ({ system }) => system)].map(([system, own]) =>
    cancelLine(
      system,
      own.map(({ id }) => id),
    ),
  );

/** The command line that shows one's own jobs. Pure. */
export const queueLine = (system: BatchName): string => queueCommands[system];

const queueCommands: Readonly<Record<BatchName, string>> = {
  slurm: "squeue -u $USER",
  pbs: "qstat -u $USER",
  sge: "qstat -u $USER",
  lsf: "bjobs",
  flux: "flux jobs",
  htcondor: "condor_q",
  kubernetes: "kubectl get mpijobs",
  local: "ps -o pid,args",
};

const cancelCommands: Readonly<Record<Exclude<BatchName, "kubernetes">, string>> = {
  slurm: "scancel",
  pbs: "qdel",
  sge: "qdel",
  lsf: "bkill",
  flux: "flux cancel",
  htcondor: "condor_rm",
  local: "ps -o pid,args",
};
