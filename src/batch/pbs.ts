import { jobOf } from "./describe.ts";
import type { BatchSystem, Job } from "./system.ts";

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  const jobId = env["PBS_JOBID"];
  if (jobId === undefined || jobId === "") return undefined;
  return jobOf({
    system: "pbs",
    jobId,
    submitHost: env["PBS_O_HOST"],
    hostFile: env["PBS_NODEFILE"],
    queue: env["PBS_QUEUE"] ?? env["PBS_O_QUEUE"],
  });
}
export const pbs = { name: "pbs", describe } as unknown as BatchSystem;
