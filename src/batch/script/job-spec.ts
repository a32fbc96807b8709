import type { BatchName } from "../system.ts";

/** The batch systems a script can be written for. */
export type ScriptSystem = Exclude<BatchName, "local">;

/** What a job script is written from; sizes in bytes, times in seconds. */
export interface JobSpec {
  /** The job's name. */
  readonly name: string;
  readonly nodes: number;
  readonly ranksPerNode: number;
  /** Cores, and so threads, of each rank. */
  readonly threads: number;
  /** Per node. */
  readonly memory?: number;
  readonly time?: number;
  /** Partition, queue or (Kubernetes) namespace. */
  readonly queue?: string;
  readonly account?: string;
  /** Per node. */
  readonly gpus?: number;
  /** A job array of so many jobs. */
  readonly array?: number;
  /** File for the job's output, in the batch system's own notation. */
  readonly output?: string;
  readonly modules: readonly string[];
  /** A virtual environment (a path) or a conda environment (a name). */
  readonly environment?: string;
  /** Further shell lines before the launch. */
  readonly setup: readonly string[];
  /** Variables to export. */
  readonly variables: Readonly<Record<string, string>>;
  /** Further directives, written as they are. */
  readonly directives: readonly string[];
  /** Grid Engine's parallel environment. */
  readonly pe?: string;
  /** The container image, for Kubernetes. */
  readonly image?: string;
  /** A persistent volume claim and where to mount it, for Kubernetes. */
  readonly volume?: { readonly claim: string; readonly path: string };
  /** What starts the ranks, without the number of ranks; a template's own choice when absent. */
  readonly launcher?: string;
  /** How tsdask-mpi is called in the job. */
  readonly command: string;
  /** tsdask-mpi's options and the job itself: plain words, quoted where they are written. */
  readonly words: readonly string[];
  /** A job of workers that join a running cluster, found through this file. */
  readonly join?: { readonly schedulerFile: string };
}

/** A template's text, and what a user should know of it. */
export interface Rendered {
  readonly text: string;
  /** Requests that this batch system cannot express, in words. */
  readonly notes: readonly string[];
}

/** How a batch system's script is written: pure. */
export type Template = (spec: JobSpec) => Rendered;

/** Ranks of the whole job. */
export function ranksOf({ nodes, ranksPerNode }: JobSpec): number {
  return nodes * ranksPerNode;
}

/** A word as bash reads it back. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * The command line after the launcher: tsdask-mpi, its options, the job. A worker job finds its cluster through
 * TSDASK_SCHEDULER_FILE.
 */
export function launched(spec: JobSpec): string {
  const joining =
    spec.join === undefined
      ? []
      : [
          "--no-scheduler",
          "--scheduler-file",
          `"\${TSDASK_SCHEDULER_FILE:-${inDoubleQuotes(spec.join.schedulerFile)}}"`,
        ];
  return [quoted(spec.command), ...joining, ...spec.words.map(quoted)].join(" ");
}

/** Text inside bash's double quotes, with nothing in it special. */
function inDoubleQuotes(text: string): string {
  return text.replace(/[\\"`$]/g, "\\$&");
}

/**
 * The shell lines that make the environment: modules, Python environment, variables, the user's own. A job ends where
 * there is no such environment, and does not go on with another Python. The bash job of a csh user has no `module`.
 */
export function environmentLines({ modules, environment, setup, variables }: JobSpec): readonly string[] {
  const python =
    environment === undefined
      ? []
      : environment.includes("/")
        ? [`source ${quoted(environment.replace(/\/$/, ""))}/bin/activate || exit 1`]
        : [`eval "$(conda shell.bash hook)" && conda activate ${quoted(environment)} || exit 1`];
  return [
    ...(modules.length === 0
      ? []
      : ["command -v module >/dev/null || . /etc/profile", `module load ${modules.map(quoted).join(" ")} || exit 1`]),
    ...python,
    ...Object.entries(variables).map(([name, value]) => `export ${name}=${quoted(value)}`),
    ...setup,
  ];
}

/** A bash script: the directives right after the first line, then the environment, then the launch. */
export function bashScript({
  directives,
  spec,
  before = [],
  launch,
}: {
  readonly directives: readonly (string | undefined)[];
  readonly spec: JobSpec;
  readonly before?: readonly string[];
  readonly launch: string;
}): string {
  const environment = environmentLines(spec);
  const what =
    spec.join === undefined ? "A Dask cluster of this job's ranks" : "Workers that join a running Dask cluster";
  return [
    "#!/bin/bash",
    ...directives.filter((line) => line !== undefined),
    "",
    `# ${what}; written by \`tsdask-mpi script\`. Change what you like.`,
    ...before,
    ...environment,
    "ulimit -c 0 # A launcher that crashes leaves no core files in this folder.",
    "",
    launch,
    "",
  ].join("\n");
}

/**
 * What Open MPI is told; other MPIs do not look at it. It (4, then 5) would bind each rank to a single core, and 4
 * kills the ranks one second after it is told to end: nine let a script save what it has. Open MPI 5.0 heeds no such
 * setting: measured, it kills within half a second.
 */
export const unbound =
  "export OMPI_MCA_hwloc_base_binding_policy=none PRTE_MCA_hwloc_default_binding_policy=none OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-9}";

/**
 * What has Open MPI take a job's variables to nodes that it reaches over ssh, where they are set, and the launcher's
 * words with it; other MPIs take all variables. Open MPI takes a list of them, or `-x`, and starts nothing with both.
 */
export function passedOn(
  launcher: string,
  ...names: readonly string[]
): { readonly before: readonly string[]; readonly launcher: string } {
  const all = [...names, "TSDASK_JOB"];
  if (launcher.split(/\s+/).includes("-x"))
    return { before: [], launcher: [launcher, ...all.map((name) => `\${${name}:+-x ${name}}`)].join(" ") };
  const list = all.map((name) => `\${${name}:+${name};}`).join("");
  return { before: [`export OMPI_MCA_mca_base_env_list="${list}"`], launcher };
}

/** Whole mebibytes, rounded up. */
export function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 1024 ** 2);
}

/** `HH:MM:SS`, hours unbounded. */
export function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${two(Math.floor(whole / 3600))}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** A line, or none when the value is not given. */
export function given<T>(value: T | undefined, line: (value: T) => string): string | undefined {
  return value === undefined ? undefined : line(value);
}
