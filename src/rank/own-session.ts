/**
 * Whether a Python of this rank, or the script, is started in a session of its own, where no signal to the rank's group
 * or terminal reaches it. PBS counts what a job uses, and kills it, by session (PBS Administrator's Guide, "pbs_mom"),
 * so that there both stay in it, and Python takes a process group of its own (`leave_group` in
 * python/tsdask_mpi/linux.py). Others count by cgroup, by group id or by descent, which a session does not change.
 */
export function ownSession(env: Readonly<Record<string, string | undefined>>): boolean {
  return env["PBS_JOBID"] === undefined;
}
