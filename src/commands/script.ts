import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BatchPatience, isBatchFailure } from "../batch/patience.ts";
import { cannotRun, whyPending } from "../batch/pending.ts";
import { batchSystem } from "../batch/job.ts";
import { commandShell } from "../batch/run.ts";
import { renderScript, scriptSystems } from "../batch/script/render.ts";
import { submitOne } from "../batch/submit.ts";
import type { JobState } from "../batch/system.ts";
import type { ScriptSystem } from "../batch/script/job-spec.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { flagName, optionLines, readCommandLine, type Defaults } from "../config/command-line.ts";
import { readConfigFiles } from "../config/config-files.ts";
import { temporaryFolder } from "../security/private-files.ts";
import { homeFolder } from "../security/user.ts";
import { programName } from "./program.ts";
import { checkLaunch, misplaced, noEnvironment } from "./script-launch.ts";
import { jobOptions, scriptOptions, specOf } from "./script-options.ts";
import { durationText } from "../ui/format.ts";
import { nearest } from "../config/suggest.ts";
import { show } from "../config/values.ts";

/** Where a command reads and writes; everything outside is passed in. */
export interface CommandPlace {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

/** How often the batch system is asked whether a job runs, in ms. */
const askEvery = 2_000;

/**
 * `tsdask-mpi script SYSTEM [options] [job…]`: writes a job script to stdout or a file, or submits it. Returns the exit
 * code, 0. Throws Failure TSD-002, 003, 006 to 010 (the command line, the launch's included, and files), TSD-090 to 093
 * (submitting), TSD-100 (the file exists), TSD-091 to 094 and 141 (`--wait`).
 */
export async function scriptCommand(argv: readonly string[], place: CommandPlace): Promise<number> {
  const { env, cwd, stdout, stderr } = place;
  const {
    said,
    words: [word, ...words],
    help,
  } = readCommandLine(argv, {
    program: "tsdask-mpi script",
    options: scriptOptions,
    defaults: await sectionDefaults(env),
    context: { cwd, home: homeFolder(env), env, variables: false },
    passThrough: 1,
  });
  if (help || word === undefined) {
    (help ? stdout : stderr).write(usage());
    return help ? 0 : 64;
  }
  const system = systemOf(word);
  const { array, join: schedulerFile, out, force, submit, wait, ...job } = said;
  const spec = specOf(job, {
    command: commandIn(system, env),
    words,
    array,
    ...(schedulerFile === undefined ? {} : { join: { schedulerFile } }),
  });
  const slip = misplaced(argv, words, Object.keys(scriptOptions).map(flagName));
  const missing = schedulerFile === undefined ? await checkLaunch(system, spec, { env, cwd }) : [];
  const { text, notes } = renderScript(system, spec);
  const own = argv.slice(0, argv.length - words.length);
  for (const note of [
    ...(slip === undefined ? [] : [slip]),
    ...idle(own, said),
    ...(submit === true ? missing : []),
    ...notes,
  ])
    stderr.write(`note: ${note}\n`);
  if (Object.keys(said.env ?? {}).length > 0) {
    stderr.write(
      "note: the values of --env stand in the script; let it read a secret from a file that only you can open, as in --setup 'source ~/.secrets'\n",
    );
  }
  if (out !== undefined) {
    await writeScript(out, text, force ?? false);
    stderr.write(`Written to ${out}.\n`);
  }
  if (submit === true) {
    // Some batch systems pass the environment on: this process may be another cluster's, whose file the job would take.
    const joined = schedulerFile === undefined ? {} : { TSDASK_SCHEDULER_FILE: schedulerFile };
    const id = await submitText(system, text, out, { ...place, env: { ...env, ...joined } });
    stdout.write(`${id}\n`);
    // Workers for a cluster that runs, and the tasks of an array, are no cluster of their own.
    if (schedulerFile === undefined && array === undefined) {
      const { registerSubmission } = await import("../registry/submission.ts");
      await registerSubmission({ system, id, name: nameIn(words), cwd, env });
    }
    if (wait !== undefined)
      return await waitForStart({ system, id, seconds: wait, env, say: (line) => stderr.write(line) });
  } else if (out === undefined) stdout.write(text);
  return 0;
}

/** Notes on options that need another one, where the command's own words have them: a file's defaults need not. */
function idle(own: readonly string[], { submit, out }: { readonly submit?: boolean; readonly out?: string }): string[] {
  const has = (flag: string): boolean => own.some((word) => word.split("=")[0] === flag);
  return [
    ...(has("--wait") && submit !== true ? ["--wait has no effect without --submit."] : []),
    ...(has("--force") && out === undefined ? ["--force has no effect without -o."] : []),
  ];
}

/** How a job's script calls this program. */
export function commandIn(system: ScriptSystem, env: NodeJS.ProcessEnv): string {
  return system === "kubernetes" ? "tsdask-mpi" : programName(env, { absolute: noEnvironment.includes(system) });
}

/** What the launch that is submitted will be called, if its words say so. */
export function nameIn(words: readonly string[]): string | undefined {
  const at = words.findIndex((word) => word === "--cluster-name" || word.startsWith("--cluster-name="));
  return at < 0 ? undefined : (words[at]?.split("=")[1] ?? words[at + 1]);
}

/**
 * Waits until a job runs, or has run; returns 0, or 69 when the time is over. A batch system that does not answer for a
 * while is asked again. Throws Failure TSD-141 for a job that will not run, and TSD-091 to TSD-094 where there is no
 * answer for too long, or when the time is over.
 */
async function waitForStart({
  system,
  id,
  seconds,
  env,
  say,
}: {
  readonly system: ScriptSystem;
  readonly id: string;
  readonly seconds: number;
  readonly env: NodeJS.ProcessEnv;
  readonly say: (line: string) => void;
}): Promise<number> {
  const shell = commandShell({ env });
  const until = performance.now() + seconds * 1000;
  const pause = (): Promise<void> => sleep(Math.min(askEvery, Math.max(100, until - performance.now())));
  const batch = new BatchPatience({ silence: deadlines.batchSilence, pause: deadlines.batchAgain });
  batch.begin();
  let said = "";
  for (;;) {
    let state: JobState;
    try {
      state = (await batchSystem(system).states([id], shell)).get(id) ?? "gone";
    } catch (error) {
      if (!isBatchFailure(error)) throw error;
      const verdict = batch.failed("look", error, { now: performance.now(), jobs: 1 });
      if (verdict.givesUp || performance.now() > until) throw error;
      if (verdict.say !== undefined) say(`tsdask-mpi: ${verdict.say}\n`);
      await pause();
      continue;
    }
    const again = batch.done("look");
    if (again !== undefined) say(`tsdask-mpi: ${again}\n`);
    if (state !== "pending" && state !== "held") {
      const now = state === "gone" ? "has ended" : state === "suspended" ? "has started, and is suspended" : "runs";
      say(`tsdask-mpi: job ${id} ${now}.\n`);
      return 0;
    }
    const pending = await whyPending([{ system, id }], shell);
    const stuck = cannotRun(pending, { limits: true });
    if (stuck !== undefined) throw stuck;
    const why = pending[0]?.reason ?? (state === "held" ? "it is held" : "");
    if (why !== "" && why !== said) say(`tsdask-mpi: job ${id} waits: ${why}\n`);
    said = why;
    if (performance.now() > until) {
      say(`tsdask-mpi: job ${id} does not run after ${durationText(seconds)}; it stays in the queue.\n`);
      return 69;
    }
    await pause();
  }
}

/** The `script:` sections of the user's and the site's file, the user's first. */
export async function sectionDefaults(env: NodeJS.ProcessEnv): Promise<readonly Defaults[]> {
  const files = await readConfigFiles({ env, home: homeFolder(env) });
  return files.flatMap(({ file, sections }) => {
    const section = sections.get("script");
    return section === undefined ? [] : [{ values: section, source: `${file}, script:` }];
  });
}

/** The batch system of this name. Throws TSD-006. */
export function systemOf(word: string): ScriptSystem {
  const known = scriptSystems.find((name) => name === word);
  if (known !== undefined) return known;
  const guess = nearest(word, scriptSystems);
  throw new Failure("TSD-006", {
    program: "tsdask-mpi script",
    problem: `${show(word)} is not a batch system it can write for (${scriptSystems.join(", ")})`,
    suggestion: guess === undefined ? "" : `Did you mean ${guess}? `,
  });
}

/** Written for its owner to run; an existing file only by `force`. */
async function writeScript(path: string, text: string, force: boolean): Promise<void> {
  try {
    await writeFile(path, text, { mode: 0o700, flag: force ? "w" : "wx" });
    // One that is written over keeps its mode, and may hold --env values now.
    if (force) await chmod(path, 0o700);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") throw new Failure("TSD-100", { path }, { cause: error });
    throw new Failure(
      "TSD-072",
      {
        path,
        problem: message,
        cause: "The folder is not there, or it is not yours.",
        cure: "Name another place with -o.",
      },
      { cause: error },
    );
  }
}

/** Submits a script, from its file or from a passing one. Throws TSD-090 to 093. */
export async function submitText(
  system: ScriptSystem,
  text: string,
  file: string | undefined,
  { env, cwd }: CommandPlace,
): Promise<string> {
  const shell = commandShell({ env });
  if (file !== undefined) return submitOne(system, { path: file, cwd }, shell);
  const folder = await temporaryFolder("tsdask-script-");
  try {
    const path = join(folder, system === "kubernetes" ? "job.yaml" : "job.sh");
    await writeFile(path, text, { mode: 0o700 });
    return await submitOne(system, { path, cwd }, shell);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function usage(): string {
  const { array, join: joining, out, force, submit, wait } = scriptOptions;
  return [
    `Usage: tsdask-mpi script ${scriptSystems.join("|")} [options] [--] [tsdask-mpi's options] [script [args…]]`,
    "",
    "Writes a job script for a batch system to standard output. What follows the system's name and the options is what the ranks run:",
    "  tsdask-mpi script slurm --nodes 2 --ranks-per-node 8 --time 2h analysis.py > job.sh",
    "  tsdask-mpi script pbs --time 4h -- --jupyter lab",
    "  tsdask-mpi script slurm --join scheduler.json --array 10 --submit",
    "",
    ...optionLines({ ...jobOptions, array, join: joining, out, force, submit, wait }),
    "",
    "Defaults may stand in the `script:` section of the site's and the user's file (`tsdask-mpi config` names them).",
    "",
  ].join("\n");
}
