import { jobOf } from "./describe.ts";
import type { BatchSystem, Job } from "./system.ts";

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  if (env["KUBERNETES_SERVICE_HOST"] === undefined) return undefined;
  const pod = /^(.+)-(?:worker-\d+|launcher(?:-[a-z0-9]+)?)$/.exec(env["HOSTNAME"] ?? "");
  return jobOf({ system: "kubernetes", jobId: env["TSDASK_MPIJOB"] ?? pod?.[1], hostFile: env["OMPI_MCA_orte_default_hostfile"] ?? env["HYDRA_HOST_FILE"] });
}
export const kubernetes = { name: "kubernetes", describe } as unknown as BatchSystem;
