import { accessSync, constants, lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { Failure } from "../errors/failure.ts";
import { systemCode } from "./file-problems.ts";

/**
 * Why a file of ours cannot be at `path`, which the user named, as far as that is known before it is written: its
 * folder has to be there, a symbolic link is not followed, another user's file not replaced. Undefined when nothing
 * speaks against it.
 */
export function outputProblem(path: string): string | undefined {
  try {
    if (!statSync(dirname(path)).isDirectory()) return `${dirname(path)} is not a folder`;
    accessSync(dirname(path), constants.X_OK);
  } catch (error) {
    return systemCode(error) === "ENOENT"
      ? `there is no folder ${dirname(path)}`
      : `${dirname(path)}: ${systemCode(error)}`;
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSymbolicLink() === true) return "it is a symbolic link";
  if (found !== undefined && found.uid !== process.geteuid?.()) return `it belongs to another user (uid ${found.uid})`;
  if (found !== undefined && !found.isFile()) return "there is something else of that name, not a file";
  return undefined;
}

/**
 * Why a file of ours could not be written at last, from what `writePrivateFile` throws: in one line, without a full
 * stop.
 */
export function writingProblem(error: unknown): string {
  return error instanceof Failure
    ? `${error.facts["problem"]}: ${error.facts["cause"]}`.replace(/\.$/, "")
    : String(error);
}
