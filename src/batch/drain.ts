/** When a job starts to leave its cluster, and why then; all times in seconds since 1970. */
export interface DrainPlan {
  /** Its workers are retired from here on. */
  readonly drainAt: number;
  /** How long before the end that is, in seconds. */
  readonly lead: number;
  /** Where moving the data must be over: the script is told to end (SIGTERM) here if there is nowhere to move to. */
  readonly leaveBy: number;
  /** Whether the user's own spec is followed, or the default. */
  readonly from: "option" | "default";
}

/** What a drain is planned from; all in seconds. */
export interface DrainInput {
  /** Now, since 1970. */
  readonly now: number;
  /** When the batch system ends the job, since 1970; undefined = it does not, or nobody knows. */
  readonly end: number | undefined;
  /** `--drain`: how long before the end; 0 turns draining off; undefined = the default. */
  readonly drain: number | undefined;
  /** When the job started, since 1970; undefined = now. */
  readonly started: number | undefined;
  /** `--grace`: how long an orderly end takes. */
  readonly grace?: number;
}

const usualLead = 300;
const shortestLead = 10;
const largestShare = 0.1;

/**
 * When to retire a job's workers before its walltime ends: `drain` before the end, or by default 5 minutes, but no more
 * than a tenth of the walltime and no less than 10 s. Undefined when the job has no known end or draining is off. A
 * plan whose time has passed is due now.
 */
export function drainPlan({ now, end, drain, started, grace = 5 }: DrainInput): DrainPlan | undefined {
  if (end === undefined || drain === 0) return undefined;
  const walltime = Math.max(0, end - Math.min(started ?? now, now));
  const scaled = Math.max(shortestLead, Math.min(usualLead, walltime * largestShare));
  const lead = Math.min(drain ?? scaled, walltime);
  const drainAt = Math.max(now, end - lead);
  const leaveBy = Math.max(drainAt, end - Math.min(grace, lead / 2));
  return { drainAt, lead: end - drainAt, leaveBy, from: drain === undefined ? "default" : "option" };
}
