import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { Failure } from "../errors/failure.ts";
import { statsOf } from "../security/stats.ts";
import { SUBCOMMANDS, type Options } from "./options.ts";
import { nearest } from "./suggest.ts";
import { show } from "./values.ts";

const listing = "`tsdask-mpi list` shows your clusters, `tsdask-mpi connect` how to reach one. ";
const looking = "`tsdask-mpi status` shows what a cluster does, `tsdask-mpi logs` what happened to it. ";
const ending = "`tsdask-mpi stop NAME` ends a cluster; `tsdask-mpi list` shows the names. ";
const starting = "The script itself is the first word: `mpirun -np 8 tsdask-mpi script.py`. ";

/** Words that other programs have as commands, and what to do here. */
const elsewhere: Readonly<Record<string, string>> = {
  ls: listing,
  ps: listing,
  stat: looking,
  info: looking,
  top: looking,
  show: listing,
  dashboard: listing,
  log: looking,
  kill: ending,
  end: ending,
  cancel: ending,
  shutdown: ending,
  down: ending,
  close: ending,
  delete: ending,
  run: starting,
  start: starting,
  launch: starting,
  exec: starting,
  up: starting,
  create: starting,
  submit: "`tsdask-mpi script SYSTEM --submit …` writes a job script and submits it. ",
  jupyter: "`tsdask-mpi --jupyter lab` runs JupyterLab on the cluster. ",
  lab: "`tsdask-mpi --jupyter lab` runs JupyterLab on the cluster. ",
};

/**
 * Refuses a first word that is no script and no program, but looks like a command of ours that does not exist or is
 * mistyped. A word that names a file, one that is a program in PATH, one with a slash or a dot in it, and whatever
 * follows `--` is run. Throws Failure TSD-006.
 */
export function refuseMistaken(
  { script, program }: Pick<Options, "script" | "program">,
  {
    argv,
    env,
    cwd,
    programs = true,
  }: {
    readonly argv: readonly string[];
    readonly env: NodeJS.ProcessEnv;
    readonly cwd: string;
    /** False where nothing could be run anyway, so that a program in PATH (`stat`) is not what was meant. */
    readonly programs?: boolean;
  },
): void {
  const word = script?.words[0] ?? "";
  const separated = argv[argv.length - (script?.words.length ?? 0) - 1] === "--";
  if (
    script?.kind !== "command" ||
    separated ||
    program !== "tsdask-mpi" ||
    /[./]/.test(word) ||
    existsSync(resolve(cwd, word)) ||
    (programs && inPath(word, env))
  )
    return;
  const guess = nearest(word, [...SUBCOMMANDS, "help", "version"]);
  const advice = Object.hasOwn(elsewhere, word.toLowerCase()) ? elsewhere[word.toLowerCase()] : undefined;
  if (advice === undefined && guess === undefined) return;
  throw new Failure("TSD-006", {
    program,
    problem: `${show(word)} is not one of its commands${programs ? ", nor a file in this folder or a program in PATH" : ", nor a file in this folder"}`,
    suggestion: advice ?? `Did you mean \`tsdask-mpi ${guess}\`? `,
  });
}

const inPath = (word: string, env: NodeJS.ProcessEnv): boolean =>
  (env["PATH"] ?? "").split(":").some((folder) => folder.startsWith("/") && existsSync(join(folder, word)));

/**
 * Throws TSD-052 for a file of this folder, or at a path, that cannot be started as it is: said before a cluster is up
 * for it.
 */
export function refuseNoProgram(
  { script }: Pick<Options, "script">,
  { cwd, env }: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): void {
  const file = script?.words[0] ?? "";
  const path = resolve(cwd, file);
  // What may not be looked at is not started either, which is said then.
  const found = statsOf(path);
  if (file === "" || found === undefined || !found.isFile()) return;
  const executable = (found.mode & 0o111) !== 0;
  if (file.includes("/")) {
    if (!executable) throw new Failure("TSD-052", { file, problem: "it is not executable (`chmod +x` makes it so)" });
  } else if (!(env["PATH"] ?? "").split(":").some((folder) => folder !== "" && existsSync(join(folder, file))))
    throw new Failure("TSD-052", {
      file,
      problem: `PATH has no such program; the one in this folder is started as ./${file}${executable ? "" : ", once it is executable (`chmod +x`)"}`,
    });
}
