import { readFileSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { Failure } from "../errors/failure.ts";
import type { ConfigFile } from "./config-file.ts";
import { show } from "./values.ts";

const SITE_FILE = "/etc/tsdask-mpi.yaml";
const MOST_BYTES = 1_000_000;
/** The number of the device /dev/null, which stands for no file (Linux's admin-guide/devices.txt). */
const NULL_DEVICE = 0x103;

/** Where a file is looked for, and whether its absence is an error. */
export interface ConfigPlace {
  readonly kind: "user" | "site";
  readonly file: string;
  readonly mustExist: boolean;
}

export interface ConfigPlaces {
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
  readonly userFile?: string | undefined;
  readonly siteFile?: string | undefined;
}

/**
 * The user's and the site's file, those that exist, the user's first.
 * Throws Failure TSD-009 (cannot be read, or not YAML) and TSD-010 (a key that is no option), with file and line.
 */
export async function readConfigFiles(places: ConfigPlaces): Promise<readonly ConfigFile[]> {
  const files: ConfigFile[] = [];
  for (const { kind, file, mustExist } of configPlaces(places)) {
    const content = readText(file, mustExist);
    if (content !== undefined && content.trim() !== "")
      files.push((await import("./yaml-file.ts")).parseFile(kind, file, content));
  }
  return files;
}

/** Where the two files are looked for; a site file that a variable names must exist. */
export function configPlaces({ env, home, userFile, siteFile }: ConfigPlaces): readonly ConfigPlace[] {
  const xdg = env["XDG_CONFIG_HOME"] ?? "";
  const folder = isAbsolute(xdg) ? xdg : join(home, ".config");
  const named = env["TSDASK_SITE_CONFIG"] || undefined;
  return [
    { kind: "user", file: userFile ?? join(folder, "tsdask-mpi.yaml"), mustExist: userFile !== undefined },
    { kind: "site", file: siteFile ?? named ?? SITE_FILE, mustExist: (siteFile ?? named) !== undefined },
  ];
}

const readText = (file: string, mustExist: boolean): string | undefined => {
  try {
    const about = statSync(file);
    if (about.isCharacterDevice() && about.rdev === NULL_DEVICE) return undefined;
    if (!about.isFile()) throw new Error("it is not a file");
    if (about.size > MOST_BYTES) throw new Error(`it is larger than ${MOST_BYTES} bytes`);
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (!mustExist && (code === "ENOENT" || code === "ENOTDIR")) return undefined;
    throw new Failure(
      "TSD-009",
      { file: show(file), line: "", problem: show((error as Error).message) },
      { cause: error },
    );
  }
};
