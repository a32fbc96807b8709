import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { ranksOf, type JobSpec, type ScriptSystem } from "../batch/script/job-spec.ts";
import { planFor } from "../cluster/plan.ts";
import type { Options } from "../config/options.ts";
import { readOptions } from "../config/read.ts";
import { show } from "../config/values.ts";

/** Batch systems whose jobs do not get the environment they are submitted from: PATH may not lead to us there. */
export const noEnvironment: readonly ScriptSystem[] = ["pbs", "sge", "htcondor", "kubernetes"];

/**
 * Reads the words of the launch that a job is to run as that launch will, and gives notes on what is not there. Throws
 * what could only fail in the job, after its time in the queue: what `readOptions` throws, and TSD-002.
 */
export async function checkLaunch(
  system: ScriptSystem,
  spec: JobSpec,
  { env, cwd }: { readonly env: NodeJS.ProcessEnv; readonly cwd: string },
): Promise<readonly string[]> {
  const ours = Object.entries(env).filter(([name]) => !(noEnvironment.includes(system) && name.startsWith("TSDASK_")));
  const inJob = { ...Object.fromEntries(ours), ...spec.variables };
  const { options, command } = await readOptions({ argv: spec.words, env: inJob, cwd, mayBeUnset: true });
  if (command.kind !== "launch") return [];
  // HTCondor's script gives each machine a launch of its own, and the first one what it needs.
  if (system !== "htcondor") planFor(options, ranksOf(spec));
  // A container has its own files.
  return system === "kubernetes" ? [] : notThere(spec, options, cwd);
}

/** Notes only: a compute node may have folders that this host has not. */
function notThere({ environment }: JobSpec, { script }: Options, cwd: string): readonly string[] {
  const word = script?.words[0] ?? "";
  const isFile = script?.kind === "python" || script?.kind === "notebook" || word.includes("/");
  const paths = [...(isFile ? [word] : []), ...(environment?.includes("/") === true ? [environment] : [])];
  return paths
    .filter((path) => !existsSync(resolve(cwd, path)))
    .map(
      (path) => `${show(path)} is not there, seen from this host and folder; without it the job fails when it starts.`,
    );
}

/**
 * A note on a job's options that stand after the script's name; undefined where there are none, and where a `--` says
 * that what follows is meant so.
 */
export function misplaced(
  argv: readonly string[],
  words: readonly string[],
  names: readonly string[],
): string | undefined {
  if (argv[argv.length - words.length - 1] === "--") return undefined;
  const [script = "", ...rest] = words;
  const end = rest.indexOf("--");
  const flags = rest.slice(0, end < 0 ? rest.length : end).map((word) => word.split("=")[0] ?? "");
  const found = [...new Set(flags.filter((flag) => names.some((name) => flag === `--${name}`)))];
  if (found.length === 0) return undefined;
  const [stands, own] = found.length === 1 ? ["stands", "it is"] : ["stand", "they are"];
  return `${found.join(" and ")} ${stands} after ${show(script)}, so ${own} the script's own; the job's options come before it.`;
}
