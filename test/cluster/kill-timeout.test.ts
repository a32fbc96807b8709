import { expect, it } from "vitest";
import { shortKillTimeout } from "../../src/cluster/rank-zero.ts";

const four = { OMPI_MCA_orte_ess_num_procs: "4" };
const job = { SLURM_JOB_ID: "12" };

it.each([
  ["Open MPI 4 in a job", { ...four, ...job }, 10, "1 s"],
  ["Open MPI 4 in a job whose script says enough", { ...four, ...job, OMPI_MCA_odls_base_sigkill_timeout: "9" }, 10],
  ["Open MPI 4 with too little for a long grace", { ...four, OMPI_MCA_odls_base_sigkill_timeout: "9" }, 30, "9 s"],
  ["Open MPI 4 at a prompt", four, 10],
  ["Open MPI 5 in a job", { ...job, OMPI_MCA_odls_base_sigkill_timeout: "9" }, 10, "less than a second"],
  ["a grace that is over as soon", { ...four, ...job }, 2],
] as const)("%s", (_, env, grace, seconds?: string) => {
  const found = shortKillTimeout({ launcher: "openmpi" }, { env, grace });
  expect(found?.code).toBe(seconds === undefined ? undefined : "TSD-185");
  expect(found?.facts["seconds"]).toBe(seconds);
});

it("launchers that wait are not warned of", () => {
  expect(shortKillTimeout({ launcher: "hydra" }, { env: job, grace: 30 })).toBeUndefined();
  expect(shortKillTimeout({ launcher: "slurm" }, { env: job, grace: 30 })).toBeUndefined();
});
