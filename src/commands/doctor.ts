import { writeFileSync } from "node:fs";
import { isatty } from "node:tty";
import { bundleText } from "../doctor/bundle.ts";
import { mergeReports } from "../doctor/merge.ts";
import { reportJson, reportText, verdict } from "../doctor/render.ts";
import type { HostReport } from "../doctor/row.ts";
import { doctorContext, examine } from "../doctor/this-host.ts";
import type { DoctorContext } from "../doctor/context.ts";
import { Failure } from "../errors/failure.ts";
import { isSingleHost } from "../host/launch-place.ts";
import { systemCode, unwritable } from "../security/file-problems.ts";
import { wantsColour } from "../ui/failure-text.ts";
import type { CommandContext } from "./context.ts";

const HELP = `\
Usage: tsdask-mpi doctor [--json] [--bundle FILE] [options of a launch]

Looks at all that a launch needs, before one is started: the installation, Python and Dask, the launcher, hosts, files, limits, the batch system,
Jupyter and the tunnel, and who else could read what is written. Each finding has its cause, a cure, and the code of the message that a launch
would say. Alone it looks at this host; in a job at the job, too; behind a launcher at all its hosts, the odd one out named:
  tsdask-mpi doctor
  mpirun -np 4 tsdask-mpi doctor --python ~/env

      --json         the same as JSON
      --bundle FILE  the same, how the last launches here ended, and the variables that matter, as one text for a ticket; what
                     looks like a secret, or like another user's name in a path, is hidden
  -h, --help         this text

Exit code: 0 when a launch would start (there may be warnings), 69 when it would not.
`;

/** Exit code when a launch would not start. */
const broken = 69;

/**
 * `tsdask-mpi doctor`; resolves to the exit code. Throws TSD-008, TSD-072 and TSD-100 (the bundle), and on another host
 * than rank 0's TSD-021, TSD-022, TSD-030 to TSD-033.
 */
export async function doctorCommand(argv: readonly string[], { env, cwd, stdout }: CommandContext): Promise<number> {
  const { words, json, bundle, help } = split(argv);
  if (help) {
    stdout.write(HELP);
    return 0;
  }
  const context = await doctorContext({ argv: words, env, cwd });
  const reports = await reportsOf(context);
  if (typeof reports === "number") return reports;
  const hosts = [...new Set(reports.map(({ host }) => host))];
  const rows = mergeReports(reports);
  const colour = wantsColour({ tty: context.world === undefined && isatty(1), noColor: env["NO_COLOR"] });
  if (bundle !== undefined) {
    const { launchLines } = await import("../doctor/launches.ts");
    write(bundle, bundleText(rows, { hosts, env, now: new Date(), launches: await launchLines(env, cwd) }));
    stdout.write(`${verdict(rows)} All of it is in ${bundle}; look through it before you send it.\n`);
  } else stdout.write(json ? reportJson(rows, hosts) : reportText(rows, { hosts, colour }));
  return rows.some(({ state }) => state === "error") ? broken : 0;
}

/** The reports of all hosts, on the rank that shows them; on the others their exit code. */
async function reportsOf(context: DoctorContext): Promise<readonly HostReport[] | number> {
  const { world } = context;
  if (world === undefined || world.size === 1) return [await examine(context)];
  if (isSingleHost(world)) return world.rank === 0 ? [await examine(context)] : 0;
  const { gatherReports, reportToRankZero } = await import("../doctor/meet.ts");
  if (world.rank === 0) return gatherReports({ context, world });
  if (world.localRank === 0 || world.localRank === undefined) return reportToRankZero({ context, world });
  // The launcher's exchange needs every rank.
  if (world.pmi !== undefined) await (await import("../host/tell-rank-zero.ts")).takePart({ world });
  return 0;
}

interface Words {
  readonly words: readonly string[];
  readonly json: boolean;
  readonly bundle: string | undefined;
  readonly help: boolean;
}

/** The doctor's own options, wherever they stand, and those of a launch. */
function split(argv: readonly string[]): Words {
  const words: string[] = [];
  let json = false;
  let help = false;
  let bundle: string | undefined;
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? "";
    if (word === "--json") json = true;
    else if (word === "--help" || word === "-h") help = true;
    else if (word.startsWith("--bundle=")) bundle = word.slice("--bundle=".length);
    else if (word === "--bundle") {
      bundle = argv[(at += 1)];
      if (bundle === undefined || bundle === "") throw new Failure("TSD-008", { option: "--bundle" });
    } else words.push(word);
  }
  return { words, json, bundle, help };
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if (systemCode(error) === "EEXIST") throw new Failure("TSD-100", { path });
    throw unwritable(path, error);
  }
}
