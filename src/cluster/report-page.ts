import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { jobAccounting } from "../batch/accounting.ts";
import { describeJob, namedJob } from "../batch/job.ts";
import { Failure } from "../errors/failure.ts";
import { daskPageName } from "../report/lines.ts";
import { problemMark, readRecord, type LaunchRecord } from "../report/record.ts";
import { reportPage } from "../report/page.ts";
import { systemCode } from "../security/file-problems.ts";
import { outputProblem, writingProblem } from "../security/output-file.ts";
import { writePrivateFile } from "../security/private-files.ts";
import { statsOf } from "../security/stats.ts";

export interface Page {
  readonly path: string;
  /** Makes the page anew of what the record has by now. Throws TSD-072. */
  readonly write: () => Promise<void>;
  /**
   * Asks the batch system what the job has used so far, for the pages from then on; an answer that comes later than
   * `deadline` ms is none. Never rejects.
   */
  readonly account: (deadline: number) => Promise<void>;
  /** Takes Dask's own report, or why there is none. */
  readonly dask: (page: { readonly html: string } | { readonly problem: string }) => Promise<void>;
}

/** Finds out at the start whether the page of `--report` can be written, by writing one. Throws TSD-181. */
export async function openPage({
  where,
  name,
  launch,
  folder,
  env,
}: {
  readonly where: string;
  readonly name: string;
  readonly launch: string;
  /** Where the record is. */
  readonly folder: () => string;
  readonly env: NodeJS.ProcessEnv;
}): Promise<Page> {
  const kept = folder();
  const path = pagePath(where, { name, launch, kept });
  if (where === "auto") makeKept(kept, path);
  const problem = outputProblem(path);
  if (problem !== undefined) throw new Failure("TSD-181", { path, problem });
  let accounting: LaunchRecord["accounting"];
  const write = async (): Promise<void> =>
    writePrivateFile(
      path,
      reportPage({ ...(await readRecord(kept)), ...(accounting === undefined ? {} : { accounting }) }),
    );
  try {
    await write();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure("TSD-181", { path, problem: writingProblem(error) }, { cause: error });
  }
  return {
    path,
    write,
    account: async (deadline) => {
      const text = await jobAccounting(namedJob(describeJob(env)), { env, deadline }).catch(() => undefined);
      if (text !== undefined) accounting = { text, asOf: Date.now() };
    },
    dask: async (page) => {
      const text = "html" in page ? page.html : `${problemMark}${page.problem}`;
      // One that was made earlier is better than a word that there is none now.
      if ("problem" in page && existsSync(join(kept, daskPageName))) return;
      await writePrivateFile(join(kept, daskPageName), text).catch(() => undefined);
    },
  };
}

/** `--report auto` is beside the kept log; a folder gets a file that is named after the cluster and the launch. */
function pagePath(
  where: string,
  { name, launch, kept }: { readonly name: string; readonly launch: string; readonly kept: string },
): string {
  if (where === "auto") return join(kept, "report.html");
  const folder = where.endsWith("/") || (statsOf(where)?.isDirectory() ?? false);
  return folder ? join(where, `tsdask-${name}-${launch.replace(".", "-")}.html`) : where;
}

/** The folder of the kept log, which has no file yet. Throws TSD-181. */
function makeKept(kept: string, path: string): void {
  try {
    mkdirSync(kept, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== "EEXIST")
      throw new Failure("TSD-181", { path, problem: String(error) }, { cause: error });
  }
}
