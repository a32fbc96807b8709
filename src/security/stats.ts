import { statSync, type Stats } from "node:fs";

/** What is at a path; undefined where nothing is, and in a folder that this user may not enter. */
export function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
