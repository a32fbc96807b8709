import { existsSync, realpathSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** How a job script calls this program: `tsdask-mpi` where PATH leads to this installation, else its absolute path. */
export function programName(
  env: NodeJS.ProcessEnv,
  { absolute = false }: { readonly absolute?: boolean } = {},
): string {
  const own = ownProgram();
  if (own === undefined) return "tsdask-mpi";
  const inPath = (env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "tsdask-mpi"))
    .find((file) => existsSync(file));
  return !absolute && inPath !== undefined && realpathSync(inPath) === realpathSync(own) ? "tsdask-mpi" : own;
}

/** `bin/tsdask-mpi` of the installation this file belongs to, bundled (`dist/`) or not (`src/cli/`). */
function ownProgram(): string | undefined {
  const above = (folder: string): string | undefined => {
    const file = join(folder, "bin", "tsdask-mpi");
    if (existsSync(file)) return file;
    return dirname(folder) === folder ? undefined : above(dirname(folder));
  };
  return above(dirname(fileURLToPath(import.meta.url)));
}
