import { Failure } from "../errors/failure.ts";
import { batchSystem } from "./job.ts";
import type { BatchName, Shell } from "./system.ts";

/** A job that waits, and why, in its batch system's own words. */
export interface Pending {
  readonly system: BatchName;
  readonly id: string;
  readonly reason: string;
  readonly prospect: Prospect;
}

/**
 * What a reason means: the job waits its turn; it waits for other jobs of its owner to end; it can never run as it is.
 */
export type Prospect = "waits" | "limit" | "never";

/**
 * squeue(1), "JOB REASON CODES": `PartitionNodeLimit` "can also indicate that required nodes are DOWN or DRAINED", and
 * such a job runs when they are back; the comment of OpenPBS's scheduler; what qalter(1) `-w v` says of an empty Grid
 * Engine; what htcondor.ts makes of its pool.
 */
const verdicts: Readonly<Partial<Record<BatchName, readonly (readonly [RegExp, Prospect])[]>>> = {
  slurm: [
    [
      /^(?:BadConstraints|PartitionConfig|PartitionTimeLimit|AccountNotAllowed|InvalidAccount|InvalidQOS|QOSNotAllowed|DependencyNeverSatisfied|MaxMemPerLimit)\b/,
      "never",
    ],
    [/^(?:Assoc|QOS)Max\w*PerJob|^(?:Assoc|QOS)MaxWallDuration|^QOSMin/, "never"],
    [/^(?:Assoc|QOS)(?:Max|Grp)\w+/, "limit"],
  ],
  pbs: [
    [/^Can Never Run|^job held, too many failed attempts/i, "never"],
    [/\b(?:user|group|project).*\b(?:limit|max)/i, "limit"],
  ],
  sge: [[/no suitable queues|^error reason/i, "never"]],
  // One that its owner holds (`via condor_hold`, `submitted on hold`) waits to be released; one that HTCondor holds has
  // failed.
  htcondor: [[/^no machine of the pool is large enough|^on hold: (?!via condor_hold|submitted on hold)/i, "never"]],
};

/** Reasons of jobs that were started and failed before they ran: nothing was asked for that cannot be had. */
const stopped = /^(?:error reason|on hold|job held)/i;

/** What a batch system's reason means for its job. Pure. */
export function prospectOf(system: BatchName, reason: string): Prospect {
  return verdicts[system]?.find(([pattern]) => pattern.test(reason))?.[1] ?? "waits";
}

/** Why these jobs wait; empty where nothing is said, or the batch system does not answer just now. */
export async function whyPending(
  jobs: readonly { readonly system: BatchName; readonly id: string }[],
  shell: Shell,
): Promise<readonly Pending[]> {
  const bySystem = [...Map.groupBy(jobs, ({ system }) => system)];
  const found = bySystem.map(async ([system, own]) => {
    const ids = own.map(({ id }) => id);
    const reasons = await batchSystem(system).reasons?.(ids, shell);
    return ids.flatMap((id) => {
      const reason = reasons?.get(id);
      return reason === undefined ? [] : [{ system, id, reason, prospect: prospectOf(system, reason) }];
    });
  });
  try {
    return (await Promise.all(found)).flat();
  } catch (error) {
    // A reason is a help: whoever waits asks again, and states are asked for on their own.
    if (error instanceof Failure) return [];
    throw error;
  }
}

/**
 * Failure TSD-141 for the first jobs of these that cannot run: never as they are, or `limits`, not while other jobs of
 * their owner are there.
 */
export function cannotRun(pending: readonly Pending[], { limits }: { readonly limits: boolean }): Failure | undefined {
  const stuck = pending.filter(({ prospect }) => prospect === "never" || (limits && prospect === "limit"));
  const [first] = stuck;
  if (first === undefined) return undefined;
  const same = stuck.filter(({ reason }) => reason === first.reason);
  return new Failure("TSD-141", {
    system: first.system,
    jobs: same.map(({ id }) => id).join(" "),
    reason: first.reason,
    hint:
      first.prospect === "limit"
        ? "It is a limit on what you may have at once: end other jobs of yours, or ask for fewer workers."
        : stopped.test(first.reason)
          ? "Cancel it, mend what these words say, and submit it again."
          : "Cancel it, and ask for what the nodes, the queue and your account allow.",
  });
}

/** `12, 13 and 8 more: Resources`, a line for each reason. */
export function pendingLines(pending: readonly Pending[], most = 3): readonly string[] {
  return [...Map.groupBy(pending, ({ reason }) => reason)].map(([reason, jobs]) => {
    const shown = jobs.slice(0, most).map(({ id }) => id);
    const more = jobs.length > most ? ` and ${jobs.length - most} more` : "";
    return `${shown.join(", ")}${more}: ${reason}`;
  });
}
