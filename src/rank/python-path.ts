import { existsSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/** What belongs to a Python wherever it is installed; what else is in its folder may be the whole system. */
const ofPython = /^(python[\d.]*|pip[\d.]*|ipython3?|pytest|py\.test|jupyter(-\w+)?|dask|papermill|coverage)$/;

/**
 * The environment in which `python`, `pytest`, `jupyter` and the like are those of the cluster's Python: where another
 * Python's come first in PATH, that of a virtual or conda environment is activated as its own script does it. A Python
 * of the system is left where it is in PATH: its folder holds more than Python. Returns the same object when nothing is
 * to be done.
 */
export function withPython(env: Readonly<Record<string, string>>, python: string): Readonly<Record<string, string>> {
  const bin = dirname(python);
  const prefix = dirname(bin);
  const kind = existsSync(join(prefix, "pyvenv.cfg"))
    ? "VIRTUAL_ENV"
    : existsSync(join(prefix, "conda-meta"))
      ? "CONDA_PREFIX"
      : undefined;
  if (kind === undefined || comesFirst(bin, env["PATH"])) return env;
  const activated: Record<string, string> = {
    ...env,
    PATH: env["PATH"] ? `${bin}:${env["PATH"]}` : bin,
    [kind]: prefix,
  };
  // Python's own home setting would lead it to another one's library.
  delete activated["PYTHONHOME"];
  return activated;
}

/**
 * The program to start for a command's first word: the cluster's Python's where it has one of that name that belongs to
 * Python, else the word.
 */
export function commandFile(word: string, python: string): string {
  if (!ofPython.test(word)) return word;
  const own = join(dirname(python), word);
  if (existsSync(own)) return own;
  return /^python3?$/.test(word) ? python : word;
}

/** Whether the first Python of PATH is in that folder, by whatever name the folder is called. */
function comesFirst(bin: string, path: string | undefined): boolean {
  const first = (path ?? "")
    .split(":")
    .find((folder) => folder.startsWith("/") && ["python", "python3"].some((name) => isFile(join(folder, name))));
  return first !== undefined && (first === bin || realpathSync(first) === realpathSync(bin));
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    // It is not there, or in a folder of PATH that may not be read.
    return false;
  }
}
