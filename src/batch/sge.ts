import { jobOf, wholeNumber } from "./describe.ts";
import type { BatchSystem, Job } from "./system.ts";

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  const id = env["JOB_ID"];
  if (id === undefined || id === "" || (env["SGE_O_HOST"] === undefined && env["SGE_CELL"] === undefined)) return undefined;
  const task = env["SGE_TASK_ID"];
  return jobOf({
    system: "sge",
    jobId: task === undefined || task === "" || task === "undefined" ? id : `${id}.${task}`,
    submitHost: env["SGE_O_HOST"],
    hostFile: env["PE_HOSTFILE"],
    requeues: wholeNumber(env["RESTARTED"]),
    queue: env["QUEUE"],
  });
}
export const sge = { name: "sge", describe } as unknown as BatchSystem;
