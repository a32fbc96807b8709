import type { LauncherName } from "./world.ts";

/** What is known of a launcher beside its rank variables, which are in `world.ts`. */
interface KnownLauncher {
  /** Its name as people say it. */
  readonly title: string;
  /** What it puts into a rank's environment for an MPI library to find, and a rank's children must not inherit. */
  readonly strip?: readonly RegExp[];
  /**
   * How its processes that start ranks on a host are called: the launcher itself, or what it has there. Beginnings of
   * names.
   */
  readonly processes?: readonly string[];
  /**
   * Those of its programs that pass on what a rank writes, each by its whole name: a rank looks through them for the
   * terminal.
   */
  readonly passing?: readonly string[];
  /** Options with which these do not pass it on as it is: each line gets a label, or goes to a file, or to a window. */
  readonly rewriting?: RegExp;
  /**
   * What the ranks but rank 0 have as standard input: nothing (the default), the launcher's own, or a pipe to which
   * nobody writes.
   */
  readonly stdin?: "none" | "own" | "silent";
  /** When it kills its ranks after SIGTERM, where that is earlier than batch systems do. */
  readonly killTimeout?: (env: NodeJS.ProcessEnv) => KillTimeout;
  /** By what the `--version` of an mpirun is known to be its own, and that MPI's name. */
  readonly versions?: readonly (readonly [says: RegExp, mpi: string])[];
}

/** The time that a launcher leaves its ranks between SIGTERM and SIGKILL. */
export interface KillTimeout {
  /** 0: less than one. */
  readonly seconds: number;
  readonly release: string;
  /** What the user can do to have the ranks killed no earlier than `grace` seconds after. */
  readonly cure: (grace: number) => string;
}

const known: Readonly<Record<LauncherName, KnownLauncher>> = {
  communicator: { title: "an MPI communicator", strip: [/^TSDASK_COMM_\w+$/] },
  tsdask: {
    title: "the built-in launcher",
    strip: [
      /^TSDASK_(SCRIPT_NAME|RANK|SIZE|LOCAL_RANK|LOCAL_SIZE|LAUNCH_ID)$/,
      /^TSDASK_CLUSTERS$/, // of a script that starts a launch of its own: it is meant for that script's Python alone
    ],
    stdin: "own",
  },
  jsrun: { title: "jsrun", strip: [/^JSM_/], processes: ["jsmd"] },
  openmpi: {
    title: "Open MPI",
    strip: [/^OMPI_/, /^OPAL_USER_PARAMS_GIVEN$/, /^(ORTE|PRTE|PRRTE)_/],
    processes: ["mpirun", "mpiexec", "orted", "orterun", "prte"],
    passing: ["mpirun", "mpiexec", "mpirun.openmpi", "orterun", "prterun", "orted", "prted", "prte"],
    rewriting: /^--?(tag-output|timestamp-output|output.*|display-output|merge-stderr.*|xterm|xml|stream-buffering)$/,
    killTimeout: openMpiKillTimeout,
    versions: [[/Open MPI|OpenRTE|PRRTE/i, "Open MPI"]],
  },
  mvapich2: { title: "MVAPICH2", strip: [/^(MV2|MPISPAWN|MPIRUN)_/], processes: ["mpispawn"], stdin: "silent" },
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
    rewriting: /^--?(l|prepend-rank|prepend-pattern|outfile-pattern|errfile-pattern)$/,
    stdin: "silent",
    versions: [
      [/Intel\(R\) MPI/i, "Intel MPI"],
      [/HYDRA|MPICH/i, "MPICH"],
    ],
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
  generic: { title: "a launcher that sets RANK and WORLD_SIZE", stdin: "own" },
};

const all = Object.values(known);

/** A launcher's name as people say it. */
export function launcherTitle(name: LauncherName): string {
  return known[name].title;
}

/**
 * What any launcher puts into a rank's environment (PMI_*, PMI2_* and PMIX_* are Hydra's, Slurm's, PALS's, Flux's and
 * PMIx's).
 */
export const launcherVariables: readonly RegExp[] = all.flatMap(({ strip = [] }) => strip);

/** The programs of all launchers that pass on what a rank writes as it is, unless their options say otherwise. */
export const passingPrograms: ReadonlySet<string> = new Set(all.flatMap(({ passing = [] }) => passing));

/** Whether with this option a launcher does not pass on what a rank writes as it is. */
export function rewritesOutput(option: string): boolean {
  return all.some(({ rewriting }) => rewriting?.test(option) === true);
}

/** What the ranks but rank 0 have as standard input. */
export function otherRanksStdin(name: LauncherName): "none" | "own" | "silent" {
  return known[name].stdin ?? "none";
}

/** When a launcher kills its ranks after SIGTERM; undefined for one that waits as long as batch systems do. */
export function killTimeout(name: LauncherName, env: NodeJS.ProcessEnv): KillTimeout | undefined {
  return known[name].killTimeout?.(env);
}

/** The launcher whose mpirun answers `--version` like this, and its MPI's name; pure. */
export function launcherOfVersion(
  version: string,
): { readonly launcher: LauncherName; readonly mpi: string } | undefined {
  const names = Object.keys(known) as LauncherName[];
  return names
    .flatMap((launcher) => (known[launcher].versions ?? []).map(([says, mpi]) => ({ launcher, says, mpi })))
    .find(({ says }) => says.test(version));
}

/** Whether a launcher's programs are one MPI's own, so that another MPI's mpirun in PATH is not one of them. */
export function hasOwnMpirun(name: LauncherName): boolean {
  return known[name].versions !== undefined;
}

/** Measured: Open MPI 4 kills after a second, or as many as its parameter says; Open MPI 5 in less, whatever is set. */
function openMpiKillTimeout(env: NodeJS.ProcessEnv): KillTimeout {
  if (env["OMPI_MCA_orte_ess_num_procs"] !== undefined)
    return {
      seconds: Number(env["OMPI_MCA_odls_base_sigkill_timeout"] || 1),
      release: "4",
      cure: (grace) =>
        `Set OMPI_MCA_odls_base_sigkill_timeout=${Math.ceil(grace)} before mpirun, as the scripts of \`tsdask-mpi script\` do.`,
    };
  return {
    seconds: 0,
    release: "5",
    cure: () =>
      "Start the ranks with srun or with Open MPI 4, or let the batch system send a signal before its end (`--signal` of Slurm), which mpirun passes on without killing.",
  };
}

/** The beginnings of the names of those processes; `bin/tsdask-mpi` has the same ones. */
export const starterNames: readonly string[] = all.flatMap(({ processes = [] }) => processes);

/** The processes by which launchers start ranks on a host: one per launch and host. */
export const starters = new RegExp(`^(${starterNames.join("|")})`);
