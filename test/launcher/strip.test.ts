import { expect, it } from "vitest";

import { childEnvironment, namesWorkingFolder } from "../../src/launcher/strip.ts";
import { identify } from "../../src/launcher/world.ts";
import { environment, environments } from "./environments.ts";

/** The environments of ranks: all but those of a batch job outside any launcher. */
const ranks = environments.filter((name) => !/^(sbatch-script|salloc-interactive)$/.test(name));

/** The variables of an environment without which its place would be told otherwise. */
function telling(env: Readonly<Record<string, string>>): string[] {
  const place = (from: Readonly<Record<string, string>>): string => {
    try {
      const { rank, size, localRank, localSize } = identify(from) ?? {};
      return [rank, size, localRank, localSize].join();
    } catch {
      return "refused";
    }
  };
  return Object.keys(env).filter((name) => {
    const { [name]: _, ...rest } = env;
    return place(rest) !== place(env);
  });
}

it.each(ranks)("leaves no rank of %s in a child's environment", (name) => {
  const child = childEnvironment(environment(name));
  const left = telling(environment(name)).filter((variable) => variable in child);
  expect(left, "`strip` of its launcher in src/launcher/known.ts takes these away").toEqual([]);
  expect(identify(child)).toBeUndefined();
  expect(
    Object.keys(child).filter((key) => /^(PMI|OMPI_|MPI_LOCAL|HYD|MV2_|PALS_|PRTE_|JSM_|I_MPI_HYDRA_UUID)/.test(key)),
  ).toEqual([]);
});

it("keeps what the batch system says of the job", () => {
  const slurm = childEnvironment(environment("sbatch-mpirun-openmpi"));
  expect(slurm).toMatchObject({ SLURM_JOB_ID: "3", SLURM_JOB_NODELIST: "n1", SLURM_SUBMIT_HOST: "node1" });
  expect(Object.keys(slurm).filter((key) => key.startsWith("SLURM_STEP") || key === "SLURM_PROCID")).toEqual([]);
  expect(childEnvironment(environment("pbs-mpirun-openmpi"))).toMatchObject({
    PBS_JOBID: "1001.pbs",
    PBS_O_HOST: "login1",
  });
  expect(childEnvironment(environment("jsrun"))).toMatchObject({ LSB_JOBID: "886644" });
  expect(childEnvironment(environment("flux"))).toHaveProperty("FLUX_URI");
});

it("keeps people's own settings, for a launch that their script starts itself", () => {
  const own = {
    OMPI_ALLOW_RUN_AS_ROOT: "1",
    OMPI_MCA_btl: "tcp,self",
    OMPI_MCA_plm_rsh_agent: "ssh",
    HYDRA_LAUNCHER: "ssh",
    I_MPI_FABRICS: "shm:ofi",
    PATH: "/usr/bin",
    RANK: "colonel",
  };
  expect(childEnvironment({ ...environment("openmpi-4"), ...own })).toEqual(own);
});

it("takes away our own launcher's variables too", () => {
  expect(
    childEnvironment({ TSDASK_RANK: "0", TSDASK_SIZE: "2", TSDASK_LAUNCH_ID: "x", TSDASK_PYTHON: "python3" }),
  ).toEqual({
    TSDASK_PYTHON: "python3",
  });
});

it.each([
  [":/lib", "/lib"],
  ["/lib:", "/lib"],
  ["/a::/b", "/a:/b"],
  [":", undefined],
  ["/a:/b", "/a:/b"],
  ["", ""],
])("leaves the working folder out of a PYTHONPATH of %o", (path, kept) => {
  expect(childEnvironment({ PYTHONPATH: path })["PYTHONPATH"]).toBe(kept);
  expect(namesWorkingFolder(path)).toBe(path !== (kept ?? "none"));
});
