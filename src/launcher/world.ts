import type { MessageCode } from "../errors/messages.ts";

/** The launchers we know, and the generic pairs of variables that others set. */
export type LauncherName =
  | "communicator"
  | "tsdask"
  | "jsrun"
  | "openmpi"
  | "mvapich2"
  | "pals"
  | "hydra"
  | "flux"
  | "alps"
  | "slurm"
  | "pmi"
  | "pmix"
  | "generic";

/**
 * How to reach the launcher's PMI server: an inherited descriptor, or (`mpiexec -pmi-port`) an address and the id to
 * show there.
 */
export interface PmiEndpoint {
  readonly version: 1 | 2;
  readonly fd?: number;
  readonly port?: { readonly host: string; readonly port: number; readonly id: number };
  readonly jobId?: string;
}

/** Who this process is in its launch: `rank` of `size`, and what else its launcher tells. */
export interface World {
  readonly launcher: LauncherName;
  /** 0 … size-1 */
  readonly rank: number;
  readonly size: number;
  /** 0 … localSize-1, among the ranks of this host. */
  readonly localRank?: number;
  readonly localSize?: number;
  /**
   * The same for all ranks of this launch on all hosts, different for any other launch; missing where the launcher
   * gives none.
   */
  readonly launchId?: string;
  readonly pmi?: PmiEndpoint;
}

type Env = Readonly<Record<string, string | undefined>>;

/** One launcher: the names of its variables (the first one set counts), and when they are to be believed. */
interface Entry {
  readonly launcher: LauncherName;
  readonly rank: readonly string[];
  readonly size: readonly string[];
  readonly localRank?: readonly string[];
  readonly localSize?: readonly string[] | ((env: Env) => number | undefined);
  /** A further condition beside "a rank variable is set". */
  readonly when?: (env: Env) => boolean;
  readonly launchId?: (env: Env) => string | undefined;
  readonly pmi?: (env: Env) => PmiEndpoint | undefined;
}

/**
 * First match wins. Launchers that people start *inside* a batch job stand before the batch systems' own, because a
 * batch system's variables stay visible (and wrong) in every process of the job.
 */
const launchers: readonly Entry[] = [
  {
    // a script's initialize() or execute() in ranks where MPI is in use: python/tsdask_mpi/ranks.py
    launcher: "communicator",
    rank: ["TSDASK_COMM_RANK"],
    size: ["TSDASK_COMM_SIZE"],
    localRank: ["TSDASK_COMM_LOCAL_RANK"],
    localSize: ["TSDASK_COMM_LOCAL_SIZE"],
    launchId: (env) => env["TSDASK_COMM_ID"],
  },
  {
    // our own, for `--np`; also what a site sets by hand for a launcher that is not listed here
    launcher: "tsdask",
    rank: ["TSDASK_RANK"],
    size: ["TSDASK_SIZE"],
    localRank: ["TSDASK_LOCAL_RANK"],
    localSize: ["TSDASK_LOCAL_SIZE"],
    launchId: (env) => env["TSDASK_LAUNCH_ID"],
  },
  {
    // jsrun sets Open MPI's variables too: it stands first for its name's sake
    launcher: "jsrun",
    rank: ["JSM_NAMESPACE_RANK"],
    size: ["JSM_NAMESPACE_SIZE"],
    localRank: ["JSM_NAMESPACE_LOCAL_RANK"],
    localSize: ["JSM_NAMESPACE_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"],
    launchId: (env) => join(env["LSB_JOBID"], env["PMIX_NAMESPACE"]),
  },
  {
    launcher: "openmpi",
    rank: ["OMPI_COMM_WORLD_RANK"],
    size: ["OMPI_COMM_WORLD_SIZE"],
    localRank: ["OMPI_COMM_WORLD_LOCAL_RANK"],
    localSize: ["OMPI_COMM_WORLD_LOCAL_SIZE"],
    // Open MPI 4's job id is 16 bits of a hash: its random transport key, alike on all hosts, tells two launches apart
    launchId: (env) =>
      join(env["PMIX_NAMESPACE"] ?? env["OMPI_MCA_ess_base_jobid"], env["OMPI_MCA_orte_precondition_transports"]),
  },
  {
    launcher: "mvapich2",
    rank: ["MV2_COMM_WORLD_RANK"],
    size: ["MV2_COMM_WORLD_SIZE"],
    localRank: ["MV2_COMM_WORLD_LOCAL_RANK"],
    localSize: ["MV2_COMM_WORLD_LOCAL_SIZE"],
  },
  {
    launcher: "pals",
    rank: ["PALS_RANKID"],
    size: ["PALS_SIZE", "PMI_SIZE"],
    localRank: ["PALS_LOCAL_RANKID", "PMI_LOCAL_RANK"],
    localSize: ["PALS_LOCAL_SIZE", "PMI_LOCAL_SIZE"],
    // Slurm on Cray EX sets the rank, too, and no size (its plugin cray_shasta, up to 22.05).
    when: (env) => set(env["PALS_SIZE"]) || set(env["PMI_SIZE"]),
    launchId: (env) => env["PALS_APID"],
  },
  {
    launcher: "hydra",
    rank: ["PMI_RANK", "PMI_ID"],
    // `mpiexec -pmi-port` tells the size only over the wire
    size: ["PMI_SIZE", "TSDASK_SIZE"],
    localRank: ["MPI_LOCALRANKID"],
    localSize: ["MPI_LOCALNRANKS"],
    when: (env) => set(env["HYDI_CONTROL_FD"]) || set(env["MPI_LOCALRANKID"]) || set(env["HYDRA_CONTROL_FD"]),
    launchId: (env) => env["I_MPI_HYDRA_UUID"],
    pmi: pmi1,
  },
  {
    launcher: "flux",
    rank: ["FLUX_TASK_RANK"],
    size: ["FLUX_JOB_SIZE"],
    localRank: ["FLUX_TASK_LOCAL_ID"],
    launchId: (env) => join(env["FLUX_JOB_ID"], env["FLUX_KVS_NAMESPACE"]),
    pmi: pmi1,
  },
  {
    // aprun tells no size: the site's profile or the job's script sets TSDASK_SIZE
    launcher: "alps",
    rank: ["ALPS_APP_PE"],
    size: ["PMI_SIZE", "TSDASK_SIZE"],
    launchId: (env) => env["ALPS_APP_ID"],
  },
  {
    launcher: "slurm",
    rank: ["SLURM_PROCID"],
    size: ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS"],
    localRank: ["SLURM_LOCALID"],
    localSize: (env) => nodeShare(env["SLURM_STEP_TASKS_PER_NODE"], env["SLURM_NODEID"]),
    when: inSlurmStep,
    launchId: (env) =>
      join(`${env["SLURM_JOB_ID"] ?? env["SLURM_JOBID"]}.${slurmStep(env)}`, env["SLURM_RESTART_COUNT"]),
    pmi: (env) =>
      set(env["PMI_FD"]) && set(env["PMI_JOBID"])
        ? { version: 2, fd: count("PMI_FD", env["PMI_FD"]), jobId: env["PMI_JOBID"] }
        : undefined,
  },
  {
    launcher: "pmi",
    rank: ["PMI_RANK"],
    size: ["PMI_SIZE"],
    localRank: ["PMI_LOCAL_RANK"],
    localSize: ["PMI_LOCAL_SIZE"],
  },
  // PMIx tells the size only over its own wire
  { launcher: "pmix", rank: ["PMIX_RANK"], size: ["TSDASK_SIZE"], launchId: (env) => env["PMIX_NAMESPACE"] },
  {
    launcher: "generic",
    rank: ["RANK"],
    size: ["WORLD_SIZE"],
    localRank: ["LOCAL_RANK"],
    localSize: ["LOCAL_WORLD_SIZE"],
    // names this common mean something only together
    when: (env) => set(env["WORLD_SIZE"]),
    launchId: (env) => env["TORCHELASTIC_RUN_ID"],
  },
];

/**
 * Says who this process is, from its launcher's variables alone; `undefined` when no launcher started it.
 * Throws a failure (`code` and `facts` for `render` in failure.ts, exit code 64): TSD-011 not a number, TSD-012 no size
 * beside the rank, TSD-013 rank outside the world, TSD-014 local rank and size that contradict each other.
 */
export function identify(env: NodeJS.ProcessEnv): World | undefined {
  for (const entry of launchers) {
    const rank = first(env, entry.rank);
    if (rank !== undefined && (entry.when === undefined || entry.when(env))) return read(entry, env, rank);
  }
  return undefined;
}

function read(entry: Entry, env: Env, rankName: string): World {
  const { launcher } = entry;
  const sizeName = first(env, entry.size);
  if (sizeName === undefined) {
    throw refuse("TSD-012", { launcher, variable: rankName, missing: entry.size.join(" or ") });
  }
  const rank = count(rankName, env[rankName]);
  const size = count(sizeName, env[sizeName]);
  if (rank >= size) throw refuse("TSD-013", { launcher, rankName, rank, sizeName, size });

  const localRank = optional(env, entry.localRank ?? []);
  const localSize = typeof entry.localSize === "function" ? entry.localSize(env) : optional(env, entry.localSize ?? []);
  if (localSize !== undefined && (localSize > size || (localRank ?? 0) >= localSize)) {
    throw refuse("TSD-014", { launcher, localRank, localSize, size });
  }
  const launchId = entry.launchId?.(env);
  const pmi = entry.pmi?.(env);
  return {
    launcher,
    rank,
    size,
    ...(localRank === undefined ? {} : { localRank }),
    ...(localSize === undefined ? {} : { localSize }),
    ...(set(launchId) ? { launchId } : {}),
    ...(pmi === undefined ? {} : { pmi }),
  };
}

/** The first of these variables that is set. */
function first(env: Env, names: readonly string[]): string | undefined {
  return names.find((name) => set(env[name]));
}

function set(value: string | undefined): value is string {
  return value !== undefined && value !== "";
}

function optional(env: Env, names: readonly string[]): number | undefined {
  const name = first(env, names);
  return name === undefined ? undefined : count(name, env[name]);
}

function count(name: string, value: string | undefined): number {
  if (value === undefined || !/^[0-9]{1,9}$/.test(value)) throw refuse("TSD-011", { variable: name, value });
  return Number(value);
}

function join(...parts: (string | undefined)[]): string | undefined {
  return set(parts[0]) ? parts.filter(set).join("-") : undefined;
}

/** Hydra's and Flux's PMI-1: a descriptor, or an address with `-pmi-port`. */
function pmi1(env: Env): PmiEndpoint | undefined {
  if (set(env["PMI_FD"])) return { version: 1, fd: count("PMI_FD", env["PMI_FD"]) };
  const address = /^(.+):(\d+)$/.exec(env["PMI_PORT"] ?? "");
  if (address?.[1] === undefined) return undefined;
  const id = count("PMI_ID", env["PMI_ID"] ?? env["PMI_RANK"]);
  return { version: 1, port: { host: address[1], port: Number(address[2]), id } };
}

/**
 * Slurm's rank counts only in a step that srun started: the batch script itself carries SLURM_PROCID=0 too. Slurm
 * numbers such other steps (batch, interactive, extern) from 0xfffffff0 up (SLURM_MAX_NORMAL_STEP_ID in its slurm.h).
 */
function inSlurmStep(env: Env): boolean {
  const step = slurmStep(env);
  return step !== undefined && /^\d+$/.test(step) && Number(step) < 0xfffffff0;
}

function slurmStep(env: Env): string | undefined {
  return env["SLURM_STEP_ID"] ?? env["SLURM_STEPID"];
}

/** Tasks on one node, from Slurm's list of counts such as `2(x3),1`, whose entries are nodes in order. */
function nodeShare(list: string | undefined, node: string | undefined): number | undefined {
  if (list === undefined || node === undefined || !/^\d+$/.test(node)) return undefined;
  let left = Number(node);
  for (const part of list.split(",")) {
    const [, tasks, repeat] = /^(\d+)(?:\(x(\d+)\))?$/.exec(part) ?? [];
    if (tasks === undefined) return undefined;
    left -= Number(repeat ?? 1);
    if (left < 0) return Number(tasks);
  }
  return undefined;
}

/**
 * A failure in all but its class: every rank loads this file, so the table of messages is left to whoever prints it.
 */
function refuse(code: MessageCode, facts: Record<string, string | number | undefined>): Error {
  return Object.assign(new Error(code), { name: "Failure", code, facts, exitCode: 64 });
}
