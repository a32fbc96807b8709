import { hostname } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { Options } from "../config/options.ts";
import { said } from "../ui/banner.ts";
import { collectFailures, wantsColour, type FailureCollector } from "../ui/failure-text.ts";
import { openLog } from "../ui/log.ts";
import type { Out } from "../ui/out.ts";
import { hubLog, keptLogFolder, type HubLog } from "./hub-log.ts";

/** What rank 0 tells: people on stderr, and the launch's log. */
export interface RankZeroOutput {
  /** Shows a text, unless people asked for quiet, and logs it line by line. */
  readonly say: (text: string) => void;
  /** Shows a text without logging it: it may hold a secret. */
  readonly show: (text: string) => void;
  readonly log: HubLog;
  /** The log lies in the cluster folder or among the kept ones, and not where the user said. */
  readonly logIsOurs: boolean;
  readonly failures: FailureCollector;
}

/**
 * Opens what rank 0 tells through. A log folder that the user named is opened at once: a launch that fails at its start
 * is what it is for. Throws TSD-035 when that cannot be done.
 */
export async function openRankZeroOutput({
  options,
  out,
  env,
  folder,
  launch,
  logName,
  heard,
}: {
  readonly options: Pick<Options, "quiet" | "logDir">;
  readonly out: Out;
  readonly env: NodeJS.ProcessEnv;
  /** The cluster folder; nothing is written there before it is the launch's own. */
  readonly folder: string;
  readonly launch: string;
  /** The log file's name in a folder that the user named. */
  readonly logName: string;
  /** Is told each failure and warning, as plain text. */
  readonly heard: (text: string) => void;
}): Promise<RankZeroOutput> {
  const base = { rank: 0, host: hostname() };
  const named =
    options.logDir === undefined ? undefined : await openLog({ folder: options.logDir, name: logName, base });
  const log: HubLog =
    named ??
    hubLog({
      folder: () => keptLogFolder({ env, launch, otherwise: join(folder, "log") }),
      name: "hub",
      base,
      onProblem: (problem) => say(said(`the log could not be opened: ${problem}`)),
    });
  const show = (text: string): void => {
    if (!options.quiet) out.write(text);
  };
  const say = (text: string): void => {
    for (const line of text.trimEnd().split("\n")) log.info(line.replace(/^tsdask-mpi: /, ""));
    show(text);
  };
  const failures = collectFailures({
    show: (text) => {
      const plain = stripVTControlCharacters(text)
        .replaceAll(/^tsdask-mpi: /gm, "")
        .trimEnd();
      log.warn(plain);
      heard(plain);
      out.write(text);
    },
    colour: wantsColour({ tty: out.tty, noColor: env["NO_COLOR"] }),
  });
  return { say, show, log, logIsOurs: named === undefined, failures };
}
