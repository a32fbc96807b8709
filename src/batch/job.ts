import { Failure } from "../errors/failure.ts";
import type { BatchName, BatchSystem, Job, NamedJob, Shell } from "./system.ts";
import { flux } from "./flux.ts";
import { htcondor } from "./htcondor.ts";
import { kubernetes } from "./kubernetes.ts";
import { local } from "./local.ts";
import { lsf } from "./lsf.ts";
import { pbs } from "./pbs.ts";
import { sge } from "./sge.ts";
import { slurm } from "./slurm.ts";

/**
 * Every batch system, the innermost first: a Flux instance may run inside a Slurm job, and both set their variables.
 */
const systems = [flux, slurm, pbs, lsf, sge, htcondor, kubernetes, local] as const;

/**
 * What this process's environment says of its job; `{ system: "local" }` outside of any batch system.
 * Pure: no file is read and no command is run. `TSDASK_JOB`, set by `scale` and `adapt`, becomes the label.
 */
export function describeJob(env: NodeJS.ProcessEnv): Job {
  const job = systems.map((system) => system.describe(env)).find((found) => found !== undefined) ?? { system: "local" };
  const label = env["TSDASK_JOB"] || job.jobId;
  return label === undefined ? job : { ...job, label: safeLabel(label) };
}

/** A job as files and lists name it; without an id where there is none. */
export function namedJob({ system, jobId }: Pick<Job, "system" | "jobId">): NamedJob {
  return { system, ...(jobId === undefined ? {} : { id: jobId }) };
}

/** The job with the name of its batch system, as its environment says it. */
export function withSite(job: NamedJob, env: NodeJS.ProcessEnv): NamedJob {
  const site = job.id === undefined ? undefined : batchSystem(job.system).site?.ofJob(env);
  return { ...job, ...(site === undefined ? {} : { site }) };
}

/** The job, submitted on this host, with the name of the batch system that the commands here ask. */
export async function withSiteHere(job: NamedJob, shell: Shell): Promise<NamedJob> {
  const [site] = await sitesHere(job.system, shell);
  return { ...job, ...(site === undefined ? {} : { site }) };
}

/**
 * Whether the commands on this host ask another batch system than the job's, where the same id is another job or none.
 * A system that does not say which it is counts as the job's own.
 */
export async function isElsewhere({ system, site }: NamedJob, shell: Shell): Promise<boolean> {
  if (site === undefined) return false;
  const here = await sitesHere(system, shell);
  return here.length > 0 && !here.includes(site);
}

async function sitesHere(system: BatchName, shell: Shell): Promise<readonly string[]> {
  try {
    return (await batchSystem(system).site?.here(shell)) ?? [];
  } catch (error) {
    if (error instanceof Failure) return [];
    throw error;
  }
}

/**
 * The job with what only its batch system knows: when it ends (seconds since 1970), its hosts, how often it was
 * requeued. Throws Failure TSD-091 (command missing), TSD-092 (no answer in time), TSD-093 (answer not understood),
 * TSD-094 (refused).
 */
export async function inquireJob(job: Job, shell: Shell): Promise<Job> {
  return batchSystem(job.system).inquire(job, shell);
}

/** The batch system of this name. */
export function batchSystem(name: BatchName): BatchSystem {
  return systems.find((system) => system.name === name) ?? local;
}

/**
 * Whether a worker label belongs to a submitted job: the same id, or one task of it when it is an array
 * (`12_3` of Slurm's `12`, `12.3.pbs` of PBS's `12[].pbs`, `12.3` of SGE's and LSF's `12`); or, of Kubernetes, its name
 * without its namespace, where its pods know no more.
 */
export function labelOf(label: string, jobId: string): boolean {
  if (/^[a-z][a-z0-9-]*\.([a-z][a-z0-9-]*)$/.exec(jobId)?.[1] === label) return true;
  const [, head = jobId, tail = ""] = /^(\d+)(?:\[\])?(.*)$/.exec(jobId) ?? [];
  const rest = safeLabel(tail);
  if (!label.startsWith(head) || !label.endsWith(rest)) return label === safeLabel(jobId);
  return /^(?:[_.]\d+)?$/.test(label.slice(head.length, label.length - rest.length));
}

/**
 * A job id as it may stand in a worker's name: letters, digits, dot, underscore and minus; `12[3].pbs` becomes
 * `12.3.pbs`.
 */
export function safeLabel(id: string): string {
  return id.replace(/\[(\w*)\]/g, ".$1").replace(/[^\w.-]/g, "_");
}
