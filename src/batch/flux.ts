import {
  jobLine,
  lines,
  noAnswer,
  notCancelled,
  notUnderstood,
  onlySays,
  refused,
  stateNamed,
  statesOf,
  type Hint,
} from "./answers.ts";
import { jobOf } from "./describe.ts";
import type { BatchSystem, Job, JobState, Shell, Submission } from "./system.ts";

/** Flux: flux-batch(1), flux-jobs(1), flux-job(1), flux-environment(7). */
export const flux: BatchSystem = {
  name: "flux",
  submitCommand: "flux",
  describe,
  inquire,
  submit,
  marks,
  cancel,
  states,
};

/** Inside `flux batch` the job is the enclosing instance, whatever `flux run` started in it. */
function describe(env: NodeJS.ProcessEnv): Job | undefined {
  const id = env["FLUX_ENCLOSING_ID"] || env["FLUX_JOB_ID"];
  return id === undefined || id === "" ? undefined : jobOf({ system: "flux", jobId: asciiId(id) });
}

/** A Flux id in F58 with an ASCII `f` for the `ƒ` of UTF-8 terminals; Flux takes both. */
function asciiId(id: string): string {
  return id.replace(/^ƒ/, "f");
}

/**
 * `flux job timeleft`: whole seconds of the job around it, or of the one that is named; UINT_MAX stands for no limit.
 */
async function inquire(job: Job, shell: Shell): Promise<Job> {
  if (job.jobId === undefined) return job;
  const here = describe(shell.env)?.jobId === job.jobId;
  const question = here ? ["job", "timeleft"] : [...parent(shell), "job", "timeleft", job.jobId];
  const ran = await shell.run("flux", question);
  if (ran.code !== 0) throw noAnswer("flux", "flux job timeleft", ran);
  const text = lines(ran.stdout)[0] ?? "";
  if (!/^\d+$/.test(text)) throw notUnderstood("flux", "flux job timeleft", ran.stdout);
  const left = Number(text);
  return left >= 4_294_967_295 ? job : jobOf({ ...job, endTime: Math.floor(shell.now()) + left });
}

/** The mark is an attribute of the job's specification, below `user`, which is the user's own (RFC 14). */
async function submit({ path, args = [], env = {}, cwd, mark }: Submission, shell: Shell): Promise<string> {
  const attribute = mark === undefined ? [] : [`--setattr=user.tsdask=${mark}`];
  const ran = await shell.run("flux", [...parent(shell), "batch", ...attribute, ...args, path], {
    env,
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (ran.code !== 0) throw refused("flux", "flux batch", ran, hints);
  const id = jobLine(ran.stdout, /^[ƒf][1-9A-HJ-NP-Za-km-z]+$/)?.[0];
  if (id === undefined) throw notUnderstood("flux", "flux batch", ran.stdout);
  return asciiId(id);
}

async function marks(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const id of ids) {
    const ran = await shell.run("flux", [...parent(shell), "job", "info", id, "jobspec"]);
    if (ran.code === 0) found.set(id, userMark(ran.stdout));
    else if (!onlySays(ran, /unknown|no such|not found/i)) throw noAnswer("flux", "flux job info", ran);
  }
  return found;
}

function userMark(jobspec: string): string {
  try {
    const { attributes } = JSON.parse(jobspec) as {
      readonly attributes?: { readonly user?: { readonly tsdask?: unknown } };
    };
    return String(attributes?.user?.tsdask ?? "");
  } catch (error) {
    if (error instanceof SyntaxError) throw notUnderstood("flux", "flux job info", jobspec);
    throw error;
  }
}

async function cancel(ids: readonly string[], shell: Shell): Promise<void> {
  if (ids.length === 0) return;
  const ran = await shell.run("flux", [...parent(shell), "cancel", ...ids]);
  if (ran.code !== 0 && !onlySays(ran, /inactive|unknown job id|does not exist|not running/i))
    throw notCancelled("flux", "flux cancel", ids, ran);
}

async function states(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, JobState>> {
  if (ids.length === 0) return new Map();
  const ran = await shell.run("flux", [...parent(shell), "jobs", "-a", "-n", "-o", "{id.f58} {state}", ...ids]);
  if (ran.code !== 0 && !onlySays({ ...ran, stdout: "" }, /unknown/i)) throw noAnswer("flux", "flux jobs", ran);
  return statesOf(
    ids,
    lines(ran.stdout).map((line) => {
      const [id, word] = line.split(/\s+/);
      const state = stateNamed(jobStates, word);
      if (id === undefined || state === undefined) throw notUnderstood("flux", "flux jobs", line);
      return [asciiId(id), state];
    }),
  );
}

/** Jobs for more resources go to the instance that runs this job's own one. */
function parent({ env }: Shell): readonly string[] {
  return env["FLUX_ENCLOSING_ID"] ? ["--parent"] : [];
}

/** The job states of Flux's RFC 21. */
const jobStates: Readonly<Record<string, JobState>> = {
  NEW: "pending",
  DEPEND: "pending",
  PRIORITY: "pending",
  SCHED: "pending",
  RUN: "running",
  CLEANUP: "ending",
  INACTIVE: "gone",
};

const hints: readonly Hint[] = [
  [/queue/i, "`flux queue status` lists the queues; put one into the script (# flux: --queue=) or give --queue."],
  [
    /bank|account/i,
    "`flux account view-user $USER` shows your banks; put one into the script (# flux: --bank=) or give --account.",
  ],
  [/unsatisfiable|exceeds|limit/i, "`flux resource list` shows what there is; ask for no more than that."],
  [
    /unable to connect|No such file|Connection refused/i,
    "No Flux instance answers here; submit on a login node of the Flux system.",
  ],
];
