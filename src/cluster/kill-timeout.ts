import { describeJob } from "../batch/job.ts";
import { Failure } from "../errors/failure.ts";
import type { LauncherName } from "../launcher/world.ts";

/** The usual `--grace`, in seconds: at a prompt nobody is told that a launcher leaves less. */
const usualGrace = 10;

/**
 * TSD-185, when the launcher kills its ranks earlier after SIGTERM than `--grace` (seconds) allows the script: in a job, which is cancelled by a signal, and
 * where more than the usual was asked for. Measured: Open MPI 4 after a second, or as many as its parameter says; Open MPI 5 in less, whatever is set. Pure.
 */
export function shortKillTimeout(
  { launcher }: { readonly launcher: LauncherName },
  { env, grace }: { readonly env: NodeJS.ProcessEnv; readonly grace: number },
): Failure | undefined {
  if (launcher !== "openmpi" || (grace <= usualGrace && describeJob(env).jobId === undefined)) return undefined;
  const fourth = env["OMPI_MCA_orte_ess_num_procs"] !== undefined;
  const seconds = fourth ? Number(env["OMPI_MCA_odls_base_sigkill_timeout"] || 1) : 0;
  // A second less is what batch systems' own ten seconds leave.
  if (!(seconds + 1 < grace)) return undefined;
  return new Failure("TSD-185", {
    seconds: seconds === 0 ? "less than a second" : `${seconds} s`,
    version: fourth ? "4" : "5",
    grace,
    cure: fourth
      ? `Set OMPI_MCA_odls_base_sigkill_timeout=${Math.ceil(grace)} before mpirun, as the scripts of \`tsdask-mpi script\` do.`
      : "Start the ranks with srun or with Open MPI 4, or let the batch system send a signal before its end (`--signal` of Slurm), which mpirun passes on without killing.",
  });
}
