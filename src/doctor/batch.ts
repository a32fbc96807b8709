import { deadlines } from "../deadlines.ts";
import { batchSystem, describeJob, inquireJob } from "../batch/job.ts";
import { commandShell } from "../batch/run.ts";
import type { Job } from "../batch/system.ts";
import { Failure } from "../errors/failure.ts";
import { durationText } from "../ui/format.ts";
import { whichIn } from "./which.ts";
import { fine, foretold, message, type Row } from "./row.ts";
import type { DoctorContext } from "./context.ts";

/**
 * Whether the commands of the job's batch system answer here: `scale`, `adapt`, `list` and `stop` need them, a launch
 * whose end is known does not.
 */
async function answerRow({ system, jobId = "" }: Job, env: NodeJS.ProcessEnv): Promise<Row> {
  const name = "commands";
  try {
    const states = await batchSystem(system).states([jobId], commandShell({ env, deadline: deadlines.doctorBatch }));
    return fine("batch", name, `${system} answers: the job is ${states.get(jobId) ?? "not known to it"}`);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // Many sites keep them from compute nodes.
    if (error.code === "TSD-091")
      return fine(
        "batch",
        name,
        `${String(error.facts["command"])} is not in PATH here: \`scale\`, \`adapt\` and \`stop\` want it`,
      );
    return { ...foretold("batch", name, error), state: "warning" };
  }
}
const submitters = ["sbatch", "qsub", "bsub", "flux", "condor_submit"];

/** The job that this runs in, and whether its end is known. */
export async function batchRows({ env, options }: DoctorContext): Promise<Row[]> {
  const job = describeJob(env);
  if (job.jobId === undefined) {
    const found = submitters.filter((name) => whichIn(name, env) !== undefined);
    const have = found.length === 0 ? "no batch system's commands in PATH" : `${found.join(", ")} in PATH`;
    return [fine("batch", "job", `not in a job; ${have}`)];
  }
  const [answers, end] = await Promise.all([answerRow(job, env), endRow(job, options.walltime, env)]);
  return [fine("batch", "job", `${job.system} ${job.jobId}`, { same: job.jobId }), answers, end];
}

/** When the job ends, and whether a launch would know. */
async function endRow(job: Job, walltime: number | undefined, env: NodeJS.ProcessEnv): Promise<Row> {
  if (walltime !== undefined) return fine("batch", "end", `${durationText(walltime)} after its start (--walltime)`);
  try {
    const { endTime } =
      job.endTime === undefined ? await inquireJob(job, commandShell({ env, deadline: deadlines.doctorBatch })) : job;
    if (endTime === undefined) return fine("batch", "end", "it has no time limit, or none is told");
    return fine("batch", "end", `in ${durationText(Math.max(0, endTime - Date.now() / 1000))}`);
  } catch (error) {
    const problem = error instanceof Failure ? (error.message.split("\n", 1)[0] ?? "") : String(error);
    return message("batch", "end", "TSD-063", { problem });
  }
}
