import { existsSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** How a job script calls this program: `tsdask-mpi` where PATH leads to this installation, else its absolute path. */
export function programName(
  env: NodeJS.ProcessEnv,
  { absolute = false }: { readonly absolute?: boolean } = {},
): string {
  const root = ownProgram();
  if (root === undefined) return "tsdask-mpi";
  const own = installedCommand(root);
  const inPath = (env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "tsdask-mpi"))
    .find((file) => existsSync(file));
  return !absolute && inPath !== undefined && realpathSync(inPath) === realpathSync(own) ? "tsdask-mpi" : own;
}

/**
 * The command that people call: that of the Python or system package whose `share/tsdask-mpi/bin` holds this program,
 * else the program itself.
 */
export function installedCommand(program: string): string {
  const command = join(dirname(program), "..", "..", "..", "bin", "tsdask-mpi");
  return /\/(share|lib)\/tsdask-mpi\/bin\/tsdask-mpi$/.test(program) && existsSync(command) ? command : program;
}

/** `bin/tsdask-mpi` of the installation this file belongs to, bundled (`dist/`) or not (`src/`). */
export function ownProgram(): string | undefined {
  const above = (folder: string): string | undefined => {
    const file = join(folder, "bin", "tsdask-mpi");
    if (existsSync(file)) return file;
    return dirname(folder) === folder ? undefined : above(dirname(folder));
  };
  return above(dirname(fileURLToPath(import.meta.url)));
}
