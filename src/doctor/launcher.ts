import { execa } from "execa";
import { deadlines } from "../deadlines.ts";
import { whichIn } from "./which.ts";
import { hasOwnMpirun, launcherOfVersion, launcherTitle } from "../launcher/known.ts";
import type { LauncherName } from "../launcher/world.ts";
import { fine, foretold, type Row } from "./row.ts";
import type { DoctorContext } from "./context.ts";

/** What started this process, what PATH has, and whether both belong together. */
export async function launcherRows({ world, worldProblem, env }: DoctorContext): Promise<Row[]> {
  if (worldProblem !== undefined) return [foretold("launcher", "variables", worldProblem)];
  const path = whichIn("mpirun", env) ?? whichIn("mpiexec", env);
  const version = path === undefined ? undefined : await versionOf(path, env);
  const rows: Row[] = [startedRow(world)];
  const found = familyOf(version ?? "");
  rows.push(
    fine(
      "launcher",
      "mpirun",
      path === undefined
        ? "none in PATH (`--np N` needs none)"
        : `${path}${found === undefined ? "" : `, ${found.title}`}`,
    ),
  );
  const strange = world === undefined ? undefined : otherFamily(world.launcher, found?.launcher);
  if (strange) rows.push(strangeRow(world?.launcher ?? "generic", path ?? "", found?.title ?? ""));
  return rows;
}

function startedRow(world: DoctorContext["world"]): Row {
  if (world === undefined)
    return fine("launcher", "started by", "nobody: `mpirun -np 4 tsdask-mpi doctor` looks at the hosts of a launch");
  const { launcher, size, pmi } = world;
  const store = pmi === undefined ? "" : `, with a key-value store (PMI-${pmi.version})`;
  const text = `${launcherTitle(launcher)}, ${size} rank${size === 1 ? "" : "s"}${store}`;
  return fine("launcher", "started by", text, { same: text });
}

/**
 * Whether variables of one MPI meet an mpirun of another; pure. Inside of a job started by srun and the like any mpirun
 * may be in PATH.
 */
export function otherFamily(launcher: LauncherName, found: LauncherName | undefined): boolean {
  return found !== undefined && hasOwnMpirun(launcher) && launcher !== found;
}

function strangeRow(launcher: LauncherName, path: string, title: string): Row {
  return {
    group: "launcher",
    name: "mpirun's family",
    state: "ok",
    text: `this launch is ${launcherTitle(launcher)}'s, ${path} is ${title}'s: each works, but not with the other's programs`,
  };
}

/** Which MPI a `--version` is of; pure. */
export function familyOf(version: string): { readonly launcher: LauncherName; readonly title: string } | undefined {
  const number = /(\d+\.\d+(?:\.\d+)?)/.exec(version)?.[1] ?? "";
  const found = launcherOfVersion(version);
  return found && { launcher: found.launcher, title: `${found.mpi} ${number}`.trim() };
}

async function versionOf(path: string, env: NodeJS.ProcessEnv): Promise<string> {
  const clean = Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(OMPI|PMI|PMIX|HYD|PRTE|SLURM)/.test(name)),
  );
  const ran = await execa(path, ["--version"], {
    env: clean,
    extendEnv: false,
    reject: false,
    timeout: deadlines.doctorMpirun,
    stdin: "ignore",
  });
  return `${ran.stdout ?? ""}\n${ran.stderr ?? ""}`;
}
