import { jobOf } from "./describe.ts";
import type { BatchSystem, Job } from "./system.ts";

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  if (env["_CONDOR_JOB_AD"] === undefined && env["_CONDOR_SCRATCH_DIR"] === undefined) return undefined;
  return jobOf({ system: "htcondor", jobId: env["TSDASK_CONDOR_ID"] });
}
export const htcondor = { name: "htcondor", describe } as unknown as BatchSystem;
