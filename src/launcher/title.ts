import type { LauncherName } from "./world.ts";

const titles: Readonly<Record<LauncherName, string>> = {
  communicator: "an MPI communicator",
  tsdask: "the built-in launcher",
  jsrun: "jsrun",
  openmpi: "Open MPI",
  mvapich2: "MVAPICH2",
  pals: "Cray PALS",
  hydra: "MPICH (Hydra)",
  flux: "Flux",
  alps: "Cray ALPS",
  slurm: "Slurm's srun",
  pmi: "a PMI launcher",
  pmix: "a PMIx launcher",
  generic: "a launcher that sets RANK and WORLD_SIZE",
};

/** A launcher's name as people say it. */
export function launcherTitle(name: LauncherName): string {
  return titles[name];
}
