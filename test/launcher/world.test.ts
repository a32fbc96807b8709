import { expect, it } from "vitest";

import { render, type Facts } from "../../src/errors/failure.ts";
import { identify, type World } from "../../src/launcher/world.ts";
import type { MessageCode } from "../../src/errors/messages.ts";
import { environment, environments } from "./environments.ts";

type Refusal = { readonly code: MessageCode; readonly facts: Facts };

const expected: Readonly<Record<string, World | undefined | MessageCode>> = {
  "openmpi-4": {
    launcher: "openmpi",
    rank: 1,
    size: 2,
    localRank: 1,
    localSize: 2,
    launchId: "1323040769-8e5a52b569624241-10a630bb7c6b16ec",
  },
  "openmpi-5": {
    launcher: "openmpi",
    rank: 1,
    size: 2,
    localRank: 1,
    localSize: 2,
    launchId: "prterun-node1-9303@1",
  },
  prterun: "TSD-012",
  "mpich-4": { launcher: "hydra", rank: 1, size: 2, localRank: 1, localSize: 2, pmi: { version: 1, fd: 8 } },
  "mpich-5": { launcher: "hydra", rank: 1, size: 2, localRank: 1, localSize: 2, pmi: { version: 1, fd: 11 } },
  "mpich-4-pmi-port": "TSD-012",
  "mpich-5-gforker": { launcher: "pmi", rank: 1, size: 2 },
  "intel-mpi-2021": {
    launcher: "hydra",
    rank: 1,
    size: 2,
    localRank: 1,
    localSize: 2,
    launchId: "77240000-946d-398a-be60-060017c08460",
    pmi: { version: 1, fd: 11 },
  },
  "srun-pmi2": {
    launcher: "slurm",
    rank: 2,
    size: 3,
    localRank: 0,
    localSize: 1,
    launchId: "1.0",
    pmi: { version: 2, fd: 11, jobId: "1.0" },
  },
  "srun-pmix": { launcher: "slurm", rank: 1, size: 2, localRank: 1, localSize: 2, launchId: "7.0" },
  "srun-none": { launcher: "slurm", rank: 2, size: 3, localRank: 0, localSize: 1, launchId: "2.0" },
  "srun-many-nodes": { launcher: "slurm", rank: 18, size: 25, localRank: 4, localSize: 7, launchId: "99.2-1" },
  "sbatch-script": undefined,
  "salloc-interactive": undefined,
  "sbatch-mpirun-openmpi": {
    launcher: "openmpi",
    rank: 1,
    size: 2,
    localRank: 1,
    localSize: 2,
    launchId: expect.stringMatching(/^632291329-[0-9a-f]{16}-[0-9a-f]{16}$/) as unknown as string,
  },
  "sbatch-mpirun-mpich": {
    launcher: "hydra",
    rank: 1,
    size: 2,
    localRank: 1,
    localSize: 2,
    pmi: { version: 1, fd: 6 },
  },
  "pbs-mpirun-openmpi": {
    launcher: "openmpi",
    rank: 0,
    size: 2,
    localRank: 0,
    localSize: 1,
    launchId: "1823473665",
  },
  pals: {
    launcher: "pals",
    rank: 5,
    size: 8,
    localRank: 1,
    localSize: 4,
    launchId: "3b1dbd2c-3c4f-4e0a-9a61-1d0d3ac7b2f1",
  },
  alps: "TSD-012",
  jsrun: { launcher: "jsrun", rank: 7, size: 12, localRank: 1, localSize: 6, launchId: "886644-3" },
  flux: {
    launcher: "flux",
    rank: 3,
    size: 4,
    localRank: 1,
    launchId: "ƒAbC3dE-job-123456789012",
    pmi: { version: 1, fd: 17 },
  },
  mvapich2: { launcher: "mvapich2", rank: 2, size: 4, localRank: 0, localSize: 2 },
  torchrun: { launcher: "generic", rank: 3, size: 4, localRank: 1, localSize: 2, launchId: "run-7" },
};

/** What is read now of a new environment, to be checked by eye. */
function suggest(name: string): string {
  try {
    return JSON.stringify(identify(environment(name)));
  } catch (error) {
    return (error as Refusal).code;
  }
}

it("has an expectation for every recorded environment", () => {
  const names = Object.keys(expected);
  const lacking = environments.filter((name) => !names.includes(name)).map((name) => `${name}: ${suggest(name)}`);
  expect(lacking, "test/launcher/environments/ has these, and `expected` of this file does not").toEqual([]);
  expect(names.toSorted()).toEqual(environments);
});

it.each(Object.keys(expected))("reads the environment of %s", (name) => {
  const answer = expected[name];
  if (typeof answer === "string") expect(refusal(environment(name)).code).toBe(answer);
  else expect(identify(environment(name))).toEqual(answer);
});

it("finds no launcher in an empty environment, nor in empty variables", () => {
  expect(identify({})).toBeUndefined();
  expect(identify({ PMI_RANK: "", RANK: "3", SLURM_PROCID: "0", SLURM_NTASKS: "4" })).toBeUndefined();
});

it("lets the launcher that people started inside a batch job win over the batch system's", () => {
  const inStep = environment("srun-pmi2");
  expect(identify({ ...inStep, ...environment("openmpi-4") })?.launcher).toBe("openmpi");
  expect(identify({ ...inStep, ...environment("mpich-4") })).toMatchObject({
    launcher: "hydra",
    pmi: { version: 1, fd: 8 },
  });
});

it("takes TSDASK_SIZE where the launcher tells no size, and TSDASK_RANK before all others", () => {
  expect(identify({ ...environment("alps"), TSDASK_SIZE: "8" })).toMatchObject({ launcher: "alps", rank: 3, size: 8 });
  expect(identify({ ...environment("mpich-4-pmi-port"), TSDASK_SIZE: "2" })).toMatchObject({
    rank: 1,
    size: 2,
    pmi: { version: 1, port: { host: "node1", id: 1 } },
  });
  const own = {
    TSDASK_RANK: "1",
    TSDASK_SIZE: "4",
    TSDASK_LOCAL_RANK: "1",
    TSDASK_LOCAL_SIZE: "4",
    TSDASK_LAUNCH_ID: "x",
  };
  expect(identify({ ...environment("openmpi-4"), ...own })).toEqual({
    launcher: "tsdask",
    rank: 1,
    size: 4,
    localRank: 1,
    localSize: 4,
    launchId: "x",
  });
});

it.each<[string, Record<string, string>, MessageCode]>([
  ["a rank that is not a number", { PMI_RANK: "one", PMI_SIZE: "2" }, "TSD-011"],
  ["a negative rank", { PMI_RANK: "-1", PMI_SIZE: "2" }, "TSD-011"],
  ["a size that is not whole", { OMPI_COMM_WORLD_RANK: "1", OMPI_COMM_WORLD_SIZE: "2.5" }, "TSD-011"],
  ["a descriptor that is not a number", { ...environment("mpich-4"), PMI_FD: "x" }, "TSD-011"],
  ["a rank without a size", { OMPI_COMM_WORLD_RANK: "1" }, "TSD-012"],
  ["a rank as large as the size", { PMI_RANK: "2", PMI_SIZE: "2" }, "TSD-013"],
  ["an empty world", { RANK: "0", WORLD_SIZE: "0" }, "TSD-013"],
  [
    "a local rank as large as the local size",
    { ...environment("openmpi-4"), OMPI_COMM_WORLD_LOCAL_RANK: "2" },
    "TSD-014",
  ],
  ["more ranks here than in all", { ...environment("openmpi-4"), OMPI_COMM_WORLD_LOCAL_SIZE: "3" }, "TSD-014"],
])("refuses %s, with a message that is complete", (_, env, code) => {
  const failure = refusal(env);
  expect(failure).toMatchObject({ code, exitCode: 64 });
  expect(render(failure.code, failure.facts)).not.toMatch(/\?(?!\S)|\{/);
});

it("leaves the local size out when Slurm's list of tasks cannot be read", () => {
  const env = environment("srun-many-nodes");
  expect(identify({ ...env, SLURM_STEP_TASKS_PER_NODE: "many" })?.localSize).toBeUndefined();
  expect(identify({ ...env, SLURM_NODEID: "9" })?.localSize).toBeUndefined();
  expect(identify({ ...env, SLURM_NODEID: "3", SLURM_LOCALID: "0" })?.localSize).toBe(4);
});

function refusal(env: Record<string, string>): Refusal {
  try {
    identify(env);
  } catch (error) {
    return error as Refusal;
  }
  throw new Error("identify accepted it");
}
