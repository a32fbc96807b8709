import { resolve } from "node:path";
import { callScheduler } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { jobAccounting } from "../batch/accounting.ts";
import { Failure } from "../errors/failure.ts";
import { visibleLine } from "../errors/visible.ts";
import type { Listed } from "../registry/find.ts";
import { recordFolders } from "../registry/place.ts";
import { targetOf } from "../registry/target.ts";
import { reportPage } from "../report/page.ts";
import { readRecord, type LaunchRecord } from "../report/record.ts";
import { readClusterCredentials } from "../security/cluster-folder.ts";
import { outputProblem } from "../security/output-file.ts";
import { writePrivateFile } from "../security/private-files.ts";
import type { CommandContext } from "./context.ts";
import { readSmallCommand, type SmallCommand } from "./small-command.ts";

export const COMMAND: SmallCommand = {
  name: "tsdask-mpi report",
  usage: "[options] [name | scheduler.json]",
  about: `Writes what happened in a launch as a page: its start, its workers over time, who was lost and why, what to ask for next time.
It works while the launch runs, and for a week after its end, however it ended. The page's path is printed.
Without a name or a file: the cluster of this folder, else the only one that runs.`,
  options: [{ flags: "--output <file>", help: "where to; otherwise tsdask-<name>.html in this folder" }],
};

/**
 * `tsdask-mpi report`; resolves to the exit code, 0. Throws TSD-006 and TSD-008, TSD-147 and TSD-148 (no such cluster,
 * or several), TSD-181 (where to), TSD-183 (nothing is known).
 */
export async function reportCommand(argv: readonly string[], context: CommandContext): Promise<number> {
  const { stdout, env, cwd } = context;
  const line = readSmallCommand(COMMAND, argv);
  if (line.help !== undefined) {
    stdout.write(line.help);
    return 0;
  }
  const { listed, schedulerFile } = await targetOf(line.words[0], context);
  if (listed === undefined)
    throw new Failure("TSD-183", { name: schedulerFile, why: "it is not in your list of clusters" });
  const { entry } = listed;
  const { output } = line.options;
  const path = resolve(cwd, typeof output === "string" && output !== "" ? output : `tsdask-${entry.name}.html`);
  const problem = outputProblem(path);
  if (problem !== undefined) throw new Failure("TSD-181", { path, problem });
  const record = await recordOf(listed, env);
  if (record === undefined) throw new Failure("TSD-183", { name: entry.name, why: "it has left no record" });
  const [dask, accounting] = await Promise.all([
    daskOf(listed, record),
    jobAccounting(entry.job, { env, deadline: deadlines.accounting }),
  ]);
  await writePrivateFile(
    path,
    reportPage({ ...record, dask, ...(accounting === undefined ? {} : { accounting: { text: accounting } }) }),
  );
  stdout.write(`${visibleLine(path)}\n`);
  return 0;
}

async function recordOf({ entry }: Listed, env: NodeJS.ProcessEnv): Promise<LaunchRecord | undefined> {
  for (const folder of recordFolders(entry, env)) {
    const record = await readRecord(folder);
    if (record.head?.launch === entry.launch) return record;
  }
  return undefined;
}

/** Of a cluster that runs, Dask's report as it is now. */
async function daskOf({ entry, state }: Listed, record: LaunchRecord): Promise<LaunchRecord["dask"]> {
  const { scheduler, security, folder } = entry;
  if (state !== "running" || scheduler === undefined) return record.dask;
  try {
    const tls = security === "tls" ? await readClusterCredentials(folder) : undefined;
    const deadline = deadlines.daskReport;
    const reply = await callScheduler({ address: scheduler.address, tls }, "tsdask_report", {}, { deadline });
    const { page, problem } = (reply ?? {}) as Readonly<Record<string, unknown>>;
    return typeof page === "string"
      ? { html: page }
      : { problem: String(problem ?? "the scheduler's answer was none") };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return "html" in record.dask ? record.dask : { problem: `the scheduler did not make it (${error.code})` };
  }
}
