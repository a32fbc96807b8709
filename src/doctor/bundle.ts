import { launcherVariables } from "../launcher/known.ts";
import { redactText } from "../ui/redact.ts";
import { VERSION } from "../config/version.ts";
import type { MergedRow } from "./merge.ts";
import { reportText } from "./render.ts";

/** Variables that say how a launch came to be, beside the launchers' own; others are nobody's business. */
const told =
  /^(PATH|TMPDIR|PYTHON\w*|LD_LIBRARY_PATH|VIRTUAL_ENV|CONDA_(PREFIX|DEFAULT_ENV)|LOADEDMODULES|I_MPI_|SLURM_|PBS_|LSB_|SGE_|JOB_ID|FLUX_|TSDASK_|DASK_|OMP_NUM_THREADS|LANG|LC_ALL|SHELL)/;
const secretName = /token|secret|passw|key|cookie|credential|auth|jwt/i;

/**
 * One text for a ticket: the report, and the variables that matter; secrets, other users' names and what is in files
 * are left out.
 */
export function bundleText(
  rows: readonly MergedRow[],
  {
    hosts,
    env,
    now,
    launches,
  }: {
    readonly hosts: readonly string[];
    readonly env: NodeJS.ProcessEnv;
    readonly now: Date;
    /** What became of the last launches. */
    readonly launches: readonly string[];
  },
): string {
  const variables = Object.entries(env)
    .filter(([name]) => told.test(name) || launcherVariables.some((pattern) => pattern.test(name)))
    .map(([name, value]) => `${name}=${secretName.test(name) ? "[hidden]" : (value ?? "")}`)
    .sort();
  const text = [
    `For a ticket: tsdask-mpi ${VERSION}, ${now.toISOString()}. Secrets, names of other users and the contents of files are not in here.`,
    "",
    reportText(rows, { hosts }),
    "The last launches here (`tsdask-mpi logs NAME` and `report NAME` have all of each)",
    ...(launches.length === 0 ? ["none is known"] : launches).map((line) => `  ${line}`),
    "",
    "Variables of this process",
    ...variables.map((line) => `  ${line}`),
    "",
  ].join("\n");
  return anonymous(redactText(text), env);
}

/** Text without the names of other users; the own home folder is `~`; pure. */
export function anonymous(text: string, env: NodeJS.ProcessEnv): string {
  const home = env["HOME"];
  const own = env["USER"] ?? env["LOGNAME"];
  const short = home === undefined || home.length < 2 ? text : text.replaceAll(home, "~");
  return short.replace(/(\/(?:home|users|Users|u)\/)([\w.-]+)/g, (whole, place: string, name: string) =>
    name === own ? whole : `${place}[user]`,
  );
}
