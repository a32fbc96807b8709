import type { LauncherName } from "./world.ts";

/** What is known of a launcher beside its rank variables, which are in `world.ts`. */
interface KnownLauncher {
  /** Its name as people say it. */
  readonly title: string;
  /** What it puts into a rank's environment for an MPI library to find, and a rank's children must not inherit. */
  readonly strip?: readonly RegExp[];
  /** How its processes that start ranks on a host are called: the launcher itself, or what it has there. Beginnings of names. */
  readonly processes?: readonly string[];
  /** Those of its programs that pass on what a rank writes, each by its whole name: a rank looks through them for the terminal. */
  readonly passing?: readonly string[];
}

const known: Readonly<Record<LauncherName, KnownLauncher>> = {
  communicator: { title: "an MPI communicator", strip: [/^TSDASK_COMM_\w+$/] },
  tsdask: {
    title: "the built-in launcher",
    strip: [
      /^TSDASK_(SCRIPT_NAME|RANK|SIZE|LOCAL_RANK|LOCAL_SIZE|LAUNCH_ID)$/,
      /^TSDASK_CLUSTERS$/, // of a script that starts a launch of its own: it is meant for that script's Python alone
    ],
  },
  jsrun: { title: "jsrun", strip: [/^JSM_/], processes: ["jsmd"] },
  openmpi: {
    title: "Open MPI",
    strip: [/^OMPI_/, /^OPAL_USER_PARAMS_GIVEN$/, /^(ORTE|PRTE|PRRTE)_/],
    processes: ["mpirun", "mpiexec", "orted", "orterun", "prte"],
    passing: ["mpirun", "mpiexec", "mpirun.openmpi", "orterun", "prterun", "orted", "prted", "prte"],
  },
  mvapich2: { title: "MVAPICH2", strip: [/^(MV2|MPISPAWN|MPIRUN)_/], processes: ["mpispawn"] },
  pals: { title: "Cray PALS", strip: [/^PALS_/], processes: ["palsd"] },
  hydra: {
    title: "MPICH (Hydra)",
    strip: [
      /^MPI_LOCAL/,
      /^(HYDI|HYDRA)_/,
      /^MPIR_CVAR_CH3_INTERFACE_HOSTNAME$/, // Debian's MPICH: this host's name
      /^I_MPI_(INFO_|HYDRA_UUID$|PIN_(INFO|MAPPING)$|MPIRUN$|INTERNAL_|BIND_WIN_ALLOCATE$|RETURN_WIN_MEM_NUMA$)/,
    ],
    processes: ["hydra_", "pmi_proxy"],
    passing: ["mpirun.mpich", "mpiexec.mpich", "mpiexec.hydra", "hydra_pmi_proxy"],
  },
  flux: { title: "Flux", strip: [/^FLUX_(TASK_|JOB_SIZE$|JOB_NNODES$)/], processes: ["flux-shell"] },
  alps: { title: "Cray ALPS", strip: [/^ALPS_APP_/], processes: ["apinit", "aprun"] },
  slurm: {
    title: "Slurm's srun",
    strip: [
      /^SLURM_(PROCID|LOCALID|NODEID|GTIDS|TASK_PID|STEP_.*|STEPID|STEPMGR|MPI_TYPE|PMI.*)$/,
      /^SLURM_(SRUN_COMM_.*|LAUNCH_NODE_IPADDR|CPU_BIND.*|MEM_BIND.*|DISTRIBUTION|UMASK)$/,
    ],
    processes: ["slurmstepd"],
  },
  pmi: { title: "a PMI launcher", strip: [/^PMI/], processes: ["psid"] },
  pmix: { title: "a PMIx launcher" },
  generic: { title: "a launcher that sets RANK and WORLD_SIZE" },
};

const all = Object.values(known);

/** A launcher's name as people say it. */
export function launcherTitle(name: LauncherName): string {
  return known[name].title;
}

/** What any launcher puts into a rank's environment (PMI_*, PMI2_* and PMIX_* are Hydra's, Slurm's, PALS's, Flux's and PMIx's). */
export const launcherVariables: readonly RegExp[] = all.flatMap(({ strip = [] }) => strip);

/** The programs of all launchers that pass on what a rank writes as it is, unless their options say otherwise. */
export const passingPrograms: ReadonlySet<string> = new Set(all.flatMap(({ passing = [] }) => passing));

/** The beginnings of the names of those processes; `bin/tsdask-mpi` has the same ones. */
export const starterNames: readonly string[] = all.flatMap(({ processes = [] }) => processes);

/** The processes by which launchers start ranks on a host: one per launch and host. */
export const starters = new RegExp(`^(${starterNames.join("|")})`);
