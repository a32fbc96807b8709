import { mkdirSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { systemCode, unwritable } from "../security/file-problems.ts";
import { privateFolder } from "../security/private-files.ts";
import { homeFolder } from "../security/user.ts";

/** Where what is known of the user's clusters lies. */
export interface StatePaths {
  /** One file per cluster. */
  readonly clusters: string;
  /** One folder per launch, with its kept logs. */
  readonly logs: string;
  /** What `tsdask-mpi open` remembers, on the laptop and on the login host. */
  readonly opened: string;
}

/**
 * The user's state folder (XDG Base Directory Specification): `$XDG_STATE_HOME/tsdask-mpi`, else
 * `~/.local/state/tsdask-mpi`. Pure but for the home folder.
 */
export function statePaths(env: NodeJS.ProcessEnv): StatePaths {
  const xdg = env["XDG_STATE_HOME"] ?? "";
  const top = join(isAbsolute(xdg) ? xdg : join(homeFolder(env), ".local", "state"), "tsdask-mpi");
  return { clusters: join(top, "clusters"), logs: join(top, "logs"), opened: join(top, "opened") };
}

/** Makes a folder of the state folder, private (0700) from the state folder down. Throws TSD-071 and TSD-072. */
export function makeStateFolder(path: string): void {
  const top = dirname(path);
  makeParents(dirname(top));
  privateFolder(top, { groupParent: true });
  privateFolder(path, { groupParent: true });
}

/** As `mkdir -p`, mode 0700; without Node's own `recursive`, which never returns on some file systems. */
function makeParents(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) === "EEXIST") return;
    if (systemCode(error) !== "ENOENT" || dirname(path) === path) throw unwritable(path, error);
    makeParents(dirname(path));
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (again) {
      // Two launches may make it at once.
      if (systemCode(again) !== "EEXIST") throw unwritable(path, again);
    }
  }
}

/** The file of a cluster: its name and its launch, so that a name is found by listing the folder. */
export function entryFile(
  clusters: string,
  { name, launch }: { readonly name: string; readonly launch: string },
): string {
  return join(clusters, `${name}~${launch}.json`);
}

/**
 * Where the record of a launch may be: with its kept log, or, where the state folder could not be written, in the
 * launch's own folder.
 */
export function recordFolders(
  { launch, folder }: { readonly launch: string; readonly folder: string },
  env: NodeJS.ProcessEnv,
): readonly string[] {
  return [join(statePaths(env).logs, launch), join(folder, "log")];
}
