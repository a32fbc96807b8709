import { hostname } from "node:os";
import { fileURLToPath } from "node:url";
import { kebab } from "../config/option-names.ts";
import { readOptions, type ReadResult } from "../config/read.ts";
import { sourceName } from "../config/resolve.ts";
import { optionKeys } from "../config/table.ts";
import { VERSION } from "../config/version.ts";
import { identify, type World } from "../launcher/world.ts";
import type { DoctorContext } from "./context.ts";
import { batchRows } from "./batch.ts";
import { fileRows } from "./files.ts";
import { hostRows } from "./hosts.ts";
import { jupyterRows } from "./jupyter.ts";
import { launcherRows } from "./launcher.ts";
import { limitRows } from "./limits.ts";
import { pythonRows } from "./python.ts";
import { fine, foretold, groups, type Group, type HostReport, type Row } from "./row.ts";
import { securityRows } from "./security.ts";

/**
 * Reads what the checks start from, by `reader`. Where the options cannot be read, those of the environment and the
 * files are left out. Never throws.
 */
export async function doctorContext(
  {
    argv,
    env,
    cwd,
  }: {
    readonly argv: readonly string[];
    readonly env: NodeJS.ProcessEnv;
    readonly cwd: string;
  },
  reader: typeof readOptions = readOptions,
): Promise<DoctorContext> {
  let readProblem: unknown;
  const read: ReadResult | undefined = await reader({ argv, env, cwd }).catch((error: unknown) => {
    readProblem = error;
    return undefined;
  });
  // No file at all: the site's may be what cannot be read.
  const bare = { PATH: env["PATH"], HOME: "/nonexistent", TSDASK_SITE_CONFIG: "/dev/null" };
  const options = read?.options ?? (await reader({ argv: [], env: bare, cwd })).options;
  let world: World | undefined;
  let worldProblem: unknown;
  try {
    world = identify(env);
  } catch (error) {
    worldProblem = error;
  }
  return {
    env,
    cwd,
    host: hostname(),
    uid: process.getuid?.() ?? 0,
    options,
    read,
    readProblem,
    world,
    worldProblem,
    pythonRoot: pythonFolder(import.meta.url),
  };
}

/** Where our own Python modules are, beside `dist/` or, in the tests, beside `src/`. */
export function pythonFolder(url: string): string {
  const path = fileURLToPath(url);
  const at = Math.max(path.lastIndexOf("/dist/"), path.lastIndexOf("/src/"));
  return `${path.slice(0, at)}/python`;
}

/** Looks at this host, group by group. Never throws: a check that breaks is a row. */
export async function examine(context: DoctorContext): Promise<HostReport> {
  const looks: Readonly<Record<Group, (context: DoctorContext) => Promise<Row[]> | Row[]>> = {
    installation: installationRows,
    python: pythonRows,
    launcher: launcherRows,
    hosts: hostRows,
    files: fileRows,
    limits: limitRows,
    batch: batchRows,
    jupyter: jupyterRows,
    security: securityRows,
  };
  const rows = await Promise.all(
    groups.map(async (group) => {
      try {
        return await looks[group](context);
      } catch (error) {
        return [foretold(group, "check", error)];
      }
    }),
  );
  return {
    host: context.host,
    ranks: 1,
    rows: rows.flat(),
  };
}

/** tsdask-mpi itself, its Node, and the options in force with where each comes from. */
function installationRows({ read, readProblem, pythonRoot }: DoctorContext): Row[] {
  const folder = pythonRoot.replace(/\/python$/, "");
  return [
    fine("installation", "tsdask-mpi", `${VERSION} in ${folder}`, { same: VERSION }),
    fine("installation", "node", `${process.versions.node} (${process.execPath})`),
    read === undefined
      ? foretold("installation", "options", readProblem)
      : fine("installation", "options", optionsText(read)),
  ];
}

function optionsText(read: NonNullable<DoctorContext["read"]>): string {
  const said = optionKeys.filter((key) => !["default", "derived"].includes(read.sources[key].kind));
  if (said.length === 0) return "all at their defaults";
  return said.map((key) => `${kebab(key)} (${sourceName(read.sources[key])})`).join(", ");
}
