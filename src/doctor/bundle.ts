import { launcherVariables } from "../launcher/known.ts";
import { VERSION } from "../config/version.ts";
import { anonymous, variableText, withoutSecrets } from "./anonymous.ts";
import type { MergedRow } from "./merge.ts";
import { reportText } from "./render.ts";

/** Variables that say how a launch came to be, beside the launchers' own; others are nobody's business. */
const told =
  /^(PATH|TMPDIR|PYTHON\w*|LD_LIBRARY_PATH|VIRTUAL_ENV|CONDA_(PREFIX|DEFAULT_ENV)|LOADEDMODULES|I_MPI_|SLURM_|PBS_|LSB_|SGE_|JOB_ID|FLUX_|TSDASK_|DASK_|OMP_NUM_THREADS|LANG|LC_ALL|SHELL)/;

/**
 * One text for a ticket: the report, and the variables that matter; what looks like a secret, or like another user's
 * name in a path, is hidden.
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
    .map(([name, value]) => variableText(name, value))
    .sort();
  const text = [
    `For a ticket: tsdask-mpi ${VERSION}, ${now.toISOString()}. What looks like a secret, or like another user's name in a path, is hidden; look through it before you send it.`,
    "",
    reportText(rows, { hosts }),
    "The last launches here (`tsdask-mpi logs NAME` and `report NAME` have all of each)",
    ...(launches.length === 0 ? ["none is known"] : launches).map((line) => `  ${line}`),
    "",
    "Variables of this process",
    ...variables.map((line) => `  ${line}`),
    "",
  ].join("\n");
  return anonymous(withoutSecrets(text), env);
}
