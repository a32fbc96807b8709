import { describeJob, inquireJob } from "../batch/job.ts";
import { commandShell } from "../batch/run.ts";
import { Failure } from "../errors/failure.ts";
import { durationText } from "../ui/format.ts";
import { whichIn } from "./which.ts";
import { fine, message, type Row } from "./row.ts";
import type { DoctorContext } from "./context.ts";

const askDeadline = 3_000;
const submitters = ["sbatch", "qsub", "bsub", "flux", "condor_submit"];

/** The job that this runs in, and whether its end is known. */
export async function batchRows({ env, options }: DoctorContext): Promise<Row[]> {
  const job = describeJob(env);
  if (job.jobId === undefined) {
    const found = submitters.filter((name) => whichIn(name, env) !== undefined);
    const have = found.length === 0 ? "no batch system's commands in PATH" : `${found.join(", ")} in PATH`;
    return [fine("batch", "job", `not in a job; ${have}`)];
  }
  const rows = [fine("batch", "job", `${job.system} ${job.jobId}`, { same: job.jobId })];
  if (options.walltime !== undefined)
    return [...rows, fine("batch", "end", `${durationText(options.walltime)} after its start (--walltime)`)];
  try {
    const { endTime } =
      job.endTime === undefined ? await inquireJob(job, commandShell({ env, deadline: askDeadline })) : job;
    if (endTime === undefined)
      throw new Failure("TSD-094", { system: job.system, command: "", words: "no end was told" });
    return [...rows, fine("batch", "end", `in ${durationText(Math.max(0, endTime - Date.now() / 1000))}`)];
  } catch (error) {
    const problem = error instanceof Failure ? (error.message.split("\n", 1)[0] ?? "") : String(error);
    return [...rows, message("batch", "end", "TSD-063", { problem })];
  }
}
