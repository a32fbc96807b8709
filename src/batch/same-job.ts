import type { NamedJob } from "./system.ts";

/**
 * The id by which a job is known to whoever submitted it and to whatever runs in it alike. HTCondor calls by the number
 * of their cluster (`12`) several jobs that were submitted together, of which each knows itself alone (`12.0`). Pure.
 */
export function commonId({ system, id = "" }: NamedJob): string {
  return system === "htcondor" ? id.replace(/\.\d+$/, "") : id;
}

/** Whether two names mean the same job of a batch system. Pure. */
export function sameJob(one: NamedJob, other: NamedJob): boolean {
  return one.id !== undefined && one.system === other.system && commonId(one) === commonId(other);
}
