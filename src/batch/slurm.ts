import { jobOf, once, wholeNumber } from "./describe.ts";
import { expandHostlist } from "./hostlist.ts";
import type { BatchSystem, Job } from "./system.ts";

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  const jobId = env["SLURM_JOB_ID"] ?? env["SLURM_JOBID"];
  if (jobId === undefined || jobId === "") return undefined;
  return jobOf({
    system: "slurm",
    jobId,
    submitHost: env["SLURM_SUBMIT_HOST"],
    endTime: wholeNumber(env["SLURM_JOB_END_TIME"]),
    startTime: wholeNumber(env["SLURM_JOB_START_TIME"]),
    hosts: once(expandHostlist(env["SLURM_JOB_NODELIST"] ?? "") ?? []),
    requeues: wholeNumber(env["SLURM_RESTART_COUNT"]),
    queue: env["SLURM_JOB_PARTITION"],
  });
}
export const slurm = { name: "slurm", describe } as unknown as BatchSystem;
