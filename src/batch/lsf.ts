import { jobOf, once } from "./describe.ts";
import type { BatchSystem, Job } from "./system.ts";

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  const id = env["LSB_JOBID"];
  if (id === undefined || id === "") return undefined;
  const index = env["LSB_JOBINDEX"];
  return jobOf({
    system: "lsf",
    jobId: index === undefined || index === "" || index === "0" ? id : `${id}[${index}]`,
    submitHost: env["LSB_SUB_HOST"],
    hosts: once(hostsOf(env["LSB_MCPU_HOSTS"] ?? "")),
    hostFile: env["LSB_DJOB_HOSTFILE"],
    requeues: env["LSB_RESTART"] === "Y" ? 1 : undefined,
    queue: env["LSB_QUEUE"],
  });
}

/** The hosts of `LSB_MCPU_HOSTS`: pairs of a name and its number of slots. */
function hostsOf(pairs: string): readonly string[] {
  return pairs.split(/\s+/).filter((word, i) => i % 2 === 0 && word !== "");
}
export const lsf = { name: "lsf", describe } as unknown as BatchSystem;
