import { constants, accessSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { batchSystem, describeJob } from "../batch/job.ts";
import { batchNames } from "../dask/scheduler-file.ts";
import { localWorkerScript, renderScript } from "../batch/script/render.ts";
import { readJobList } from "../batch/job-list.ts";
import { workersOfScript } from "../batch/script-workers.ts";
import { allWorkerJobs, jobListPath } from "../batch/job-list-path.ts";
import type { BatchName, Submission } from "../batch/system.ts";
import { groupName } from "../config/groups.ts";
import { variableOf } from "../config/option-names.ts";
import { readSchedulerFile } from "../dask/read-scheduler-file.ts";
import type { ClusterGroup, ClusterRecord } from "../dask/scheduler-file.ts";
import { manyWorkers } from "../dask/settings.ts";
import { Failure } from "../errors/failure.ts";
import { unwritable } from "../security/file-problems.ts";
import { temporaryFolder } from "../security/private-files.ts";
import { homeFolder } from "../security/user.ts";
import { clusterTrust, trustPassedOn, type ClusterTrust } from "./cluster-trust.ts";
import {
  readCommandLine,
  type CommandLine,
  type CommandOption,
  type CommandOptions,
  type Said,
} from "../config/command-line.ts";
import { programName } from "./program.ts";
import type { CommandPlace } from "./script.ts";
import { sectionDefaults } from "./script.ts";
import { jobOptions, specOf } from "./script-options.ts";
import { choice, flag, integer, path, text } from "../config/values.ts";

const option = <T>(spec: CommandOption<T>): CommandOption<T> => spec;

/** The options that `scale` and `adapt` share: which worker jobs there are. */
export const growthOptions = {
  script: option({
    value: "<file>",
    read: path,
    help: "the worker job's script; else one is written from the options below",
  }),
  group: option({
    value: "<name>",
    read: text("a group's name", groupName),
    help: "workers of this group of the cluster's (its --group), and no others",
  }),
  workersPerJob: option({
    value: "<n>",
    read: integer(1, 100_000),
    help: "workers that a job brings [what the script's -np or its directives say]",
  }),
  batch: option({
    value: "<system>",
    read: choice(batchNames),
    help: `${batchNames.join(", ")} [the one of the cluster's own job; local where there is none]`,
  }),
  trustSharedFolder: option({ read: flag, help: "believe a scheduler.json in a folder that your group may write in" }),
  security: option({ value: "<kind>", read: choice(["tls", "none"]), help: "none: the cluster is one without TLS" }),
  ...jobOptions,
};

/**
 * What is submitted, by which batch system, and how many workers each job of it brings; disposing removes a written
 * script.
 */
export interface WorkerJob extends AsyncDisposable {
  readonly system: BatchName;
  readonly submission: Submission;
  readonly perJob: number;
  /** What was said of the cluster, for whoever reads its file again. */
  readonly trust: ClusterTrust;
  /** Where the jobs are listed. */
  readonly listPath: string;
  readonly group: ClusterGroup | undefined;
  /** Workers that the whole cluster may have. */
  readonly expected: number;
}

/**
 * Reads the words of `scale` or `adapt`, with the `script:` sections of the configuration files behind those options
 * they know.
 */
export async function readGrowthLine<const O extends CommandOptions>(
  argv: readonly string[],
  program: string,
  options: O,
  { env, cwd }: CommandPlace,
): Promise<CommandLine<O>> {
  return readCommandLine(argv, {
    program,
    options,
    defaults: await sectionDefaults(env),
    context: { cwd, home: homeFolder(env), env, variables: false },
  });
}

/**
 * The worker job that was asked for, of a cluster, or a group of it, that is to have so many workers. Throws Failure
 * TSD-096 when its script cannot be read, TSD-101 when none can be written for this system, TSD-201 for a group that
 * the cluster does not know, TSD-203 when the script does not say how many workers a job of it brings.
 */
export async function workerJob(
  said: Said<typeof growthOptions>,
  {
    schedulerFile,
    expected,
    place,
  }: { readonly schedulerFile: string; readonly expected: number; readonly place: CommandPlace },
): Promise<WorkerJob> {
  const { script, group: groupSaid, workersPerJob, batch, trustSharedFolder, security, ...job } = said;
  const trust = await clusterTrust({ trustSharedFolder, security }, place);
  const passedOn = trustPassedOn(trust);
  const { tsdask } = await readSchedulerFile(schedulerFile, trust);
  const system = batch ?? tsdask?.job?.system ?? systemHere(place.env);
  const group = groupOf(groupSaid, tsdask);
  const listPath = jobListPath(schedulerFile, tsdask?.folder, groupSaid);
  const all = Math.max(tsdask?.expects ?? 0, expected + (await listedBeside(listPath, tsdask)));
  const launch = launchOptions(group, all);
  const common = {
    cwd: place.cwd,
    env: { ...passedOn.env, ...launch.env },
    ...(tsdask === undefined ? {} : { logFolder: join(tsdask.folder, "log") }),
  };
  const found = { system, trust, group, listPath, expected: all };
  if (script !== undefined) {
    const perJob = await workersPer(script, { said: workersPerJob, system, wanted: expected });
    return {
      ...found,
      perJob,
      submission: { ...common, path: script },
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  if (system === "kubernetes" && (job.image === undefined || job.volume === undefined)) {
    throw new Failure("TSD-101", {
      problem: "A worker job for Kubernetes needs --image and --volume.",
      cause:
        "A pod has no other way to tsdask-mpi, and none to the cluster's scheduler file, than an image and a shared volume.",
      cure: "Give both (`tsdask-mpi script kubernetes --help`), or a manifest of your own with --script.",
    });
  }
  const command = system === "kubernetes" ? "tsdask-mpi" : programName(place.env, { absolute: true });
  const ranks = job.ranksPerNode ?? (system === "local" ? 1 : 4);
  const words = [
    "--start-timeout",
    "2m",
    ...pythonWords(job, system, tsdask, place),
    ...passedOn.words,
    ...launch.words,
  ];
  const content =
    system === "local"
      ? localWorkerScript({ command, ranks, words, schedulerFile })
      : renderScript(system, specOf({ ...job, ranksPerNode: ranks }, { command, words, join: { schedulerFile } })).text;
  // In the cluster's folder it goes with the cluster; a local job may still be about to read it when this command has
  // ended.
  const folder = tsdask?.folder ?? (await temporaryFolder("tsdask-worker-job-"));
  const file = join(folder, `worker-job-${process.pid}.sh`);
  await writeFile(file, content, { mode: 0o700 }).catch((error: unknown) => {
    throw unwritable(file, error);
  });
  return {
    ...found,
    perJob: workersPerJob ?? ranks * (system === "local" ? 1 : (job.nodes ?? 1)),
    submission: { ...common, path: file },
    [Symbol.asyncDispose]: async () => {
      if (system !== "local") await rm(tsdask === undefined ? folder : file, { recursive: true, force: true });
    },
  };
}

/**
 * Has a worker job run in the cluster's own Python, unless the job's own words make another environment: the shell that
 * asks for workers may have none active. A container has files of its own.
 */
function pythonWords(
  { environment, modules, setup, env: exported }: Omit<Said<typeof growthOptions>, "security">,
  system: string,
  cluster: ClusterRecord | undefined,
  { env }: CommandPlace,
): readonly string[] {
  const own = environment !== undefined || (modules ?? []).length > 0 || (setup ?? []).length > 0;
  const named = { ...env, ...exported }["TSDASK_PYTHON"] ?? "";
  if (own || system === "kubernetes" || named !== "") return [];
  return cluster?.python === undefined ? [] : ["--python", cluster.python];
}

/** How many workers the cluster's other lists of jobs are to bring; one that cannot be read is not this command's. */
async function listedBeside(listPath: string, cluster: ClusterRecord | undefined): Promise<number> {
  const others = cluster === undefined ? [] : await allWorkerJobs(cluster.folder);
  const lists = await Promise.all(
    others
      .filter((path) => path !== listPath)
      .map(async (path) => (await readJobList(path).catch(() => ({ jobs: [] }))).jobs),
  );
  return lists.flat().reduce((sum, { expected }) => sum + expected, 0);
}

/** The group of this name. Throws Failure TSD-201. */
function groupOf(name: string | undefined, record: ClusterRecord | undefined): ClusterGroup | undefined {
  if (name === undefined) return undefined;
  const groups = record?.groups ?? [];
  const found = groups.find((one) => one.name === name);
  if (found !== undefined) return found;
  const known = groups.map((one) => one.name).join(", ");
  throw new Failure("TSD-201", { group: name, known: known === "" ? "it has none" : `it has ${known}` });
}

/**
 * What the launch of a worker job is told besides the cluster, as words of its command line, and as variables for a
 * script of the user's own.
 */
function launchOptions(
  group: ClusterGroup | undefined,
  expected: number,
): { readonly words: readonly string[]; readonly env: Readonly<Record<string, string>> } {
  const options = {
    ...group?.options,
    ...(expected > manyWorkers ? { "expected-workers": String(expected) } : {}),
  };
  return {
    words: Object.entries(options).flatMap(([word, text]) => [`--${word}`, text]),
    env: Object.fromEntries(Object.entries(options).map(([word, text]) => [variableOf(word), text])),
  };
}

/** The batch system of this job; else the one whose submit command is in PATH; else this machine's own launcher. */
export function systemHere(env: NodeJS.ProcessEnv): BatchName {
  const { system } = describeJob(env);
  if (system !== "local") return system;
  const there = (["slurm", "lsf", "pbs", "htcondor"] as const).find((name) =>
    isInPath(batchSystem(name).submitCommand, env),
  );
  if (there === "pbs" && env["SGE_ROOT"]) return "sge";
  return there ?? (env["FLUX_URI"] && isInPath("flux", env) ? "flux" : "local");
}

function isInPath(command: string, env: NodeJS.ProcessEnv): boolean {
  return (env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false; // Not in this folder.
    }
  });
}

/**
 * How many workers each job of the user's own script brings; where none are wanted, no job is submitted, and any number
 * will do. Throws Failure TSD-096, TSD-203.
 */
async function workersPer(
  script: string,
  { said, system, wanted }: { readonly said: number | undefined; readonly system: BatchName; readonly wanted: number },
): Promise<number> {
  // Also where the number was said: LSF's submission reads the file itself, and has no message of its own.
  const text = await textOf(script);
  const workers = said ?? workersOfScript(system, text) ?? (wanted === 0 ? 1 : undefined);
  if (workers === undefined) throw new Failure("TSD-203", { path: script, system });
  return workers;
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new Failure(
      "TSD-096",
      { path: file, problem: (error as NodeJS.ErrnoException).code ?? String(error) },
      { cause: error },
    );
  }
}
