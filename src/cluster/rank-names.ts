import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { Options } from "../config/options.ts";

/** An import of dask_mpi at the beginning of a line, in a script or in the JSON of a notebook. */
const importsDaskMpi =
  /^[\s",]*(?:from\s+dask_mpi(?:\.\w+)*\s+import|import\s+(?:[\w.]+(?:\s+as\s+\w+)?\s*,\s*)*dask_mpi)\b/m;

/** Bytes; what is larger, such as a notebook full of pictures, is not looked at. */
const largestScript = 32 * 1024 * 1024;

/** Whether a script's or notebook's source imports dask_mpi. */
export function usesDaskMpi(source: string): boolean {
  return importsDaskMpi.test(source);
}

/**
 * Whether workers are called by their ranks' numbers, as dask-mpi's initialize() and execute() call them
 * (dask_mpi/initialize.py): for a script that is given this launch's cluster in place of dask-mpi's.
 */
export function namedByRank({ script, scheduler, ownClusters }: Options, cwd: string): boolean {
  if (script?.kind !== "python" && script?.kind !== "notebook") return false;
  if (!scheduler || (ownClusters ?? "adopt") !== "adopt") return false;
  const file = resolve(cwd, script.words[0] ?? "");
  try {
    // What comes through a pipe can be read but once, by Python.
    const found = statSync(file);
    return found.isFile() && found.size <= largestScript && usesDaskMpi(readFileSync(file, "utf8"));
  } catch {
    return false; // A folder with a __main__.py, or a file that Python itself will say something about.
  }
}
