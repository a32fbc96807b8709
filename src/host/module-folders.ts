import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Options } from "../config/options.ts";
import { Failure } from "../errors/failure.ts";
import { statsOf } from "../security/stats.ts";
import { refuseReplaceable } from "../security/trusted-file.ts";

/** Asked for each rank. */
const foldersOfScripts = new Map<string, string>();

/**
 * The folder that Python puts first on the script's path: the one of the file that a link leads to; a folder with a
 * `__main__.py`, or an archive, itself. Undefined for commands and notebooks.
 */
export function scriptFolderOf({ script }: Pick<Options, "script">, cwd: string): string | undefined {
  if (script?.kind !== "python" && script?.kind !== "stdin") return undefined;
  const path = resolve(cwd, script.words[0] ?? "");
  const folder = foldersOfScripts.get(path) ?? firstOnPath(path);
  foldersOfScripts.set(path, folder);
  return folder;
}

function firstOnPath(path: string): string {
  if (/\.(pyzw?|zip)$/.test(path) || statsOf(path)?.isDirectory() === true) return path;
  try {
    return dirname(realpathSync.native(path));
  } catch {
    return dirname(path);
  }
}

/**
 * The folders in which scheduler and workers look for a module last: where a notebook's kernel, JupyterLab's kernels, a
 * command and pytest find what lies beside them. Only folders that nobody else writes in: what Dask looks for and an
 * environment lacks (`pynvml`, …) would be taken from there.
 */
export function laterFoldersOf(
  { script, jupyter, trustSharedFolder: shared }: Pick<Options, "script" | "jupyter" | "trustSharedFolder">,
  cwd: string,
): readonly string[] {
  return [...new Set(wanted({ script, jupyter }, cwd))].filter((folder) => isPrivate(folder, shared));
}

function wanted({ script, jupyter }: Pick<Options, "script" | "jupyter">, cwd: string): readonly string[] {
  if (jupyter !== undefined) return [cwd];
  if (script?.kind === "notebook") return [dirname(resolve(cwd, script.words[0] ?? ""))];
  return script?.kind === "command" ? [cwd, ...testFolders(script.words, cwd)] : [];
}

/** pytest puts the folders of the tests on its own path (its `prepend` import mode). */
function testFolders(words: readonly string[], cwd: string): readonly string[] {
  const isPytest = (word = ""): boolean => /^py\.?test(?:-?\d[\d.]*)?$/.test(basename(word));
  if (!isPytest(words[0]) && !words.some((word, index) => word === "pytest" && words[index - 1] === "-m")) return [];
  return words.slice(1).flatMap((word) => {
    const path = resolve(cwd, word.split("::")[0] ?? "");
    const found = word.startsWith("-") ? undefined : statsOf(path);
    if (found?.isDirectory() === true) return [path];
    return found?.isFile() === true && path.endsWith(".py") ? [dirname(path)] : [];
  });
}

function isPrivate(folder: string, shared: boolean): boolean {
  const found = statsOf(folder);
  // In a sticky folder, others cannot replace a file, but bring their own.
  if (found === undefined || ((found.mode & 0o1000) !== 0 && (found.mode & 0o022) !== 0)) return false;
  try {
    refuseReplaceable(join(folder, "module.py"), { shared });
    return true;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}
