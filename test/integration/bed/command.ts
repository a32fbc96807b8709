import { accessSync, constants } from "node:fs";
import { delimiter, dirname, join } from "node:path";

/** A command ready to be spawned: a file, its arguments, and what it adds to the environment. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Whether something can be used on this machine, and if not, what is missing. */
export type Availability = true | { readonly missing: string };

/** The project's folder. */
export const projectRoot: string = dirname(dirname(dirname(import.meta.dirname)));

/** The two commands under test. */
export const tsdaskMpi: string = join(projectRoot, "bin", "tsdask-mpi");
export const daskMpi: string = join(projectRoot, "bin", "dask-mpi");

/** A plain command without additions. */
export function command(file: string, ...args: string[]): Command {
  return { file, args, env: {} };
}

/** The absolute path of a program in PATH or in the system's sbin folders; undefined when there is none. */
export function which(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** Whether this file can be executed by us. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** True when all programs are there, else the names of those that are not, and the packages that bring them. */
export function needs(programs: readonly string[], packages: string): Availability {
  const absent = programs.filter((name) => which(name) === undefined);
  return absent.length === 0 ? true : { missing: `${absent.join(", ")} (Debian: ${packages})` };
}

/** Whether the tests run as root, which namespaces, another user and Debian's packages need. */
export const isRoot: boolean = process.getuid?.() === 0;

/** The environment of the tests without what an outer launcher, batch job or test runner put there. */
export function plainEnvironment(): Record<string, string> {
  const foreign =
    /^(OMPI|OPAL|PMI|PMIX|PRTE|HYDRA|HYDI|MPI|MPIR|I_MPI|MV2|PALS|FLUX|JSM|ALPS|SLURM|PBS|LSB|SGE|TSDASK|DASK|VITEST|VITE|npm)_|^(PMI\w*|NODE_ENV|NODE_OPTIONS|VITEST|TEST|DEV|PROD|MODE|INIT_CWD|FORCE_COLOR|RANK|WORLD_SIZE)$/;
  const kept = Object.entries(process.env).filter(([name, value]) => value !== undefined && !foreign.test(name));
  return Object.fromEntries(kept) as Record<string, string>;
}
