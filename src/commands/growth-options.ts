import { constants, accessSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { workersOfScript } from "../batch/growth.ts";
import { batchNames, batchSystem, describeJob } from "../batch/job.ts";
import { localWorkerScript, renderScript } from "../batch/script/render.ts";
import type { BatchName, Submission } from "../batch/system.ts";
import { readSchedulerFile } from "../dask/read-scheduler-file.ts";
import { Failure } from "../errors/failure.ts";
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
import { choice, flag, integer, path } from "../config/values.ts";

const option = <T>(spec: CommandOption<T>): CommandOption<T> => spec;

/** The options that `scale` and `adapt` share: which worker jobs there are. */
export const growthOptions = {
  script: option({
    value: "<file>",
    read: path,
    help: "the worker job's script; else one is written from the options below",
  }),
  workersPerJob: option({
    value: "<n>",
    read: integer(1, 100_000),
    help: "workers that a job brings [what the script's directives say]",
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

/** What is submitted, by which batch system, and how many workers each job of it brings; disposing removes a written script. */
export interface WorkerJob extends AsyncDisposable {
  readonly system: BatchName;
  readonly submission: Submission;
  readonly perJob: number;
  /** What was said of the cluster, for whoever reads its file again. */
  readonly trust: ClusterTrust;
}

/** Reads the words of `scale` or `adapt`, with the `script:` sections of the configuration files behind those options they know. */
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
    context: { cwd, home: homedir(), env, variables: false },
  });
}

/** The worker job that was asked for. Throws Failure TSD-096 when its script cannot be read, TSD-101 when none can be written for this system. */
export async function workerJob(
  said: Said<typeof growthOptions>,
  { schedulerFile, place }: { readonly schedulerFile: string; readonly place: CommandPlace },
): Promise<WorkerJob> {
  const { script, workersPerJob, batch, trustSharedFolder, security, ...job } = said;
  const trust = await clusterTrust({ trustSharedFolder, security }, place);
  const passedOn = trustPassedOn(trust);
  const { tsdask } = await readSchedulerFile(schedulerFile, trust);
  const system = batch ?? tsdask?.job?.system ?? systemHere(place.env);
  const common = {
    cwd: place.cwd,
    env: passedOn.env,
    ...(tsdask === undefined ? {} : { logFolder: join(tsdask.folder, "log") }),
  };
  if (script !== undefined) {
    const perJob = workersPerJob ?? workersOfScript(await textOf(script)) ?? 1;
    return {
      system,
      perJob,
      trust,
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
  const words = ["--start-timeout", "2m", ...passedOn.words];
  const text =
    system === "local"
      ? localWorkerScript({ command, ranks, words, schedulerFile })
      : renderScript(system, specOf({ ...job, ranksPerNode: ranks }, { command, words, join: { schedulerFile } })).text;
  // In the cluster's folder it goes with the cluster; a local job may still be about to read it when this command has ended.
  const folder = tsdask?.folder ?? (await mkdtemp(join(tmpdir(), "tsdask-worker-job-")));
  const file = join(folder, `worker-job-${process.pid}.sh`);
  await writeFile(file, text, { mode: 0o700 });
  return {
    system,
    trust,
    perJob: workersPerJob ?? ranks * (system === "local" ? 1 : (job.nodes ?? 1)),
    submission: { ...common, path: file },
    [Symbol.asyncDispose]: async () => {
      if (system !== "local") await rm(tsdask === undefined ? folder : file, { recursive: true, force: true });
    },
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
