import { accessSync, constants } from "node:fs";
import { join } from "node:path";

/** The program of this name in PATH; undefined when there is none. */
export function whichIn(name: string, env: NodeJS.ProcessEnv): string | undefined {
  return (env["PATH"] ?? "")
    .split(":")
    .filter((folder) => folder.startsWith("/"))
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        // Not there, or not for this user.
        return false;
      }
    });
}
