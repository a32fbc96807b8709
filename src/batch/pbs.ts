import {
  jobLine,
  noAnswer,
  notCancelled,
  notUnderstood,
  onlySays,
  refused,
  stateNamed,
  statesOf,
  type Hint,
} from "./answers.ts";
import { jobOf, once, wholeNumber } from "./describe.ts";
import { optionIn, scriptText } from "./directives.ts";
import type { BatchSystem, Job, JobState, Shell, Submission } from "./system.ts";

/**
 * PBS Professional, OpenPBS and TORQUE. What qstat says is read from its text form (`qstat -f`), which all three share:
 * the JSON form is invalid when a job's environment holds shell functions (openpbs#2541) and drops jobs when asked for
 * several (openpbs#2672).
 */
export const pbs: BatchSystem = {
  name: "pbs",
  submitCommand: "qsub",
  // A job's id ends with its server's name, or that of the server's host; with or without the domain.
  site: {
    ofJob: (env) => /^[^.]*\.([^.]+)/.exec(env["PBS_JOBID"] ?? "")?.[1]?.toLowerCase(),
    here: async (shell) => {
      const { stdout } = await shell.run("qstat", ["-B", "-f"]);
      return [...stdout.matchAll(/^(?:Server:|\s*server_host =) ([^.\s]+)/gm)].map(([, name = ""]) =>
        name.toLowerCase(),
      );
    },
  },
  describe,
  inquire,
  submit,
  marks,
  cancel,
  states,
  reasons,
  accounting,
};

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  const jobId = env["PBS_JOBID"];
  if (jobId === undefined || jobId === "") return undefined;
  return jobOf({
    system: "pbs",
    jobId,
    submitHost: env["PBS_O_HOST"],
    hostFile: env["PBS_NODEFILE"],
    queue: env["PBS_QUEUE"] || env["PBS_O_QUEUE"],
  });
}

async function inquire(job: Job, shell: Shell): Promise<Job> {
  if (job.jobId === undefined) return job;
  const ran = await shell.run("qstat", ["-f", job.jobId]);
  if (ran.code !== 0) throw noAnswer("pbs", "qstat", ran);
  const found = parseQstat(ran.stdout)[0]?.fields;
  if (found === undefined) throw notUnderstood("pbs", "qstat", ran.stdout);
  const walltime = secondsOf(found.get("Resource_List.walltime"));
  const startTime = secondsSince1970(found.get("stime") ?? found.get("start_time"));
  const left = wholeNumber(found.get("Walltime.Remaining"));
  const planned = startTime === undefined || walltime === undefined ? undefined : startTime + walltime;
  const runs = wholeNumber(found.get("run_count") ?? found.get("start_count"));
  return jobOf({
    ...job,
    startTime,
    endTime: planned ?? (left === undefined ? undefined : shell.now() + left),
    submitHost: job.submitHost ?? found.get("Submit_Host") ?? found.get("submit_host"),
    hosts: once(
      (found.get("exec_host") ?? "")
        .split("+")
        .map((slot) => slot.split("/")[0] ?? "")
        .filter((host) => host !== ""),
    ),
    requeues: runs === undefined || runs === 0 ? undefined : runs - 1,
    queue: job.queue ?? found.get("queue"),
  });
}

/**
 * The mark is a variable of the job: qstat shows them all, and a name or project may be cut or have a meaning of the
 * site. The variables go behind those that the script's own directive asks for: the command line's `-v` replaces it.
 */
async function submit({ path, args = [], env: given = {}, cwd, mark }: Submission, shell: Shell): Promise<string> {
  const env = mark === undefined ? given : { ...given, [markVariable]: mark };
  // A name alone after -v takes the value from qsub's own environment, so that no value has to be quoted.
  const names = Object.keys(env);
  const own = names.length === 0 ? undefined : optionIn(await scriptText(path), "#PBS", "-v\\s*");
  const variables = names.length === 0 ? [] : ["-v", [own, ...names].filter((one) => one !== undefined).join(",")];
  const ran = await shell.run("qsub", [...variables, ...args, path], { env, ...(cwd === undefined ? {} : { cwd }) });
  if (ran.code !== 0) throw refused("pbs", "qsub", ran, hints);
  const id = jobLine(ran.stdout, /^\d+(?:\[\])?(?:\.\S+)?$/)?.[0];
  if (id === undefined) throw notUnderstood("pbs", "qsub", ran.stdout);
  return id;
}

const markVariable = "TSDASK_WORKER_JOB";

async function marks(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const found = await qstat(ids, shell);
  return new Map(
    found.map(({ id, fields }) => [
      ids.find((asked) => sameJob(asked, id)) ?? id,
      (fields.get("Variable_List") ?? "").split(",").find((variable) => variable.startsWith(`${markVariable}=`)) ?? "",
    ]),
  );
}

async function cancel(ids: readonly string[], shell: Shell): Promise<void> {
  if (ids.length === 0) return;
  const ran = await shell.run("qdel", ids);
  if (ran.code !== 0 && !onlySays(ran, /unknown job id|job has finished|request invalid for state of job/i))
    throw notCancelled("pbs", "qdel", ids, ran);
}

async function reasons(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const waiting = (await qstat(ids, shell)).filter(({ fields }) => /^[QHW]$/.test(fields.get("job_state") ?? ""));
  return new Map(
    waiting.flatMap(({ id, fields }) => {
      const comment = fields.get("comment");
      const start = fields.get("estimated.start_time");
      const text = start === undefined ? comment : `${comment ?? "Not running"}, expected to start at ${start}`;
      return text === undefined ? [] : [[ids.find((asked) => sameJob(asked, id)) ?? id, text] as const];
    }),
  );
}

async function states(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, JobState>> {
  if (ids.length === 0) return new Map();
  const found = await qstat(ids, shell);
  return statesOf(
    ids,
    found.map(({ id, fields }) => {
      const state = stateNamed(jobStates, fields.get("job_state"));
      if (state === undefined)
        throw notUnderstood("pbs", "qstat", `${id}: job_state = ${fields.get("job_state") ?? "(none)"}`);
      return [ids.find((asked) => sameJob(asked, id)) ?? id, state];
    }),
  );
}

/** What `qstat -f` says of those of the jobs that there are. */
async function qstat(ids: readonly string[], shell: Shell): Promise<ReturnType<typeof parseQstat>> {
  const ran = await shell.run("qstat", ["-f", ...ids]);
  if (ran.code !== 0 && !onlySays({ ...ran, stdout: "" }, /unknown job id|job has finished/i))
    throw noAnswer("pbs", "qstat", ran);
  return parseQstat(ran.stdout);
}

/** `123` and `123.pbs01` name the same job when one of them lacks the server. */
function sameJob(asked: string, found: string): boolean {
  return (
    asked === found ||
    (asked.split(".")[0] === found.split(".")[0] &&
      (!asked.includes(".") || !found.includes(".") || found.startsWith(asked) || asked.startsWith(found)))
  );
}

/**
 * The jobs in the output of `qstat -f`: `Job Id: …`, then `key = value` lines; a line that starts with a tab goes on
 * with the one before.
 */
export function parseQstat(
  text: string,
): readonly { readonly id: string; readonly fields: ReadonlyMap<string, string> }[] {
  const jobs: { id: string; fields: Map<string, string> }[] = [];
  for (const line of text.replace(/\n\t/g, "").split("\n")) {
    const head = /^Job Id:\s*(\S+)\s*$/.exec(line);
    if (head?.[1] !== undefined) jobs.push({ id: head[1], fields: new Map() });
    const field = /^\s{2,}(\S+) = (.*)$/.exec(line);
    if (field?.[1] !== undefined && field[2] !== undefined) jobs.at(-1)?.fields.set(field[1], field[2].trim());
  }
  return jobs;
}

/** Seconds of `[[HH:]MM:]SS`. */
function secondsOf(time: string | undefined): number | undefined {
  if (time === undefined || !/^\d+(:\d+){0,2}(\.\d+)?$/.test(time)) return undefined;
  return time.split(":").reduce((total, part) => total * 60 + Number.parseInt(part, 10), 0);
}

/** Seconds since 1970 of `Thu Feb 22 14:27:48 2018`, which qstat writes in the time zone of whoever asks. */
function secondsSince1970(date: string | undefined): number | undefined {
  const match = /^\w{3} (\w{3}) +(\d+) (\d\d:\d\d:\d\d) (\d{4})$/.exec(date ?? "");
  const time = match === null ? Number.NaN : Date.parse(`${match[2]} ${match[1]} ${match[4]} ${match[3]}`);
  return Number.isNaN(time) ? undefined : time / 1000;
}

/** The letters of `job_state`: qstat(1B) of PBS Professional and of TORQUE. */
const jobStates: Readonly<Record<string, JobState>> = {
  Q: "pending",
  W: "pending",
  T: "pending",
  M: "pending",
  H: "held",
  R: "running",
  S: "suspended",
  U: "suspended",
  B: "running",
  E: "ending",
  F: "gone",
  X: "gone",
  C: "gone",
};

const hints: readonly Hint[] = [
  [
    /queue is not enabled/i,
    "This queue takes no jobs now; `qstat -Q` shows which are enabled (Ena): name one of those with --queue.",
  ],
  [
    // 15002 is PBSE_NOATTR of pbs_error.h, which qsub has no words for.
    /illegal -W|invalid -W|-W value|\(15002\)|undefined attribute/i,
    "A -W line of the script is none that PBS knows: `-W depend=afterok:ID`, `-W block=true`, `-W umask=…`; qsub(1B) lists them.",
  ],
  [/unknown queue/i, "`qstat -Q` lists the queues; put one into the script (#PBS -q) or give --queue."],
  [
    /account|project|allocation/i,
    "Put your project into the script (#PBS -A, or #PBS -P where the site uses it) or give --account.",
  ],
  [/exceeds|resource limits|walltime/i, "`qstat -Qf` shows each queue's limits (resources_max); ask for less."],
  [
    /unknown resource|illegal attribute|resource/i,
    "This PBS does not know a resource of the script; `pbsnodes -a` shows what the nodes have. TORQUE wants -l nodes=N:ppn=K instead of -l select.",
  ],
  [
    /unauthorized|not authorized/i,
    "This queue, or submitting from this host, is not open to you; submit on a login node or to another queue.",
  ],
  [/cannot connect|connection refused/i, "The PBS server does not answer; `qstat -B` tells when it is back."],
];

/** qstat(1B): `-x` shows jobs that are over, where the server keeps them. */
async function accounting(id: string, shell: Shell): Promise<string> {
  const { code, stdout } = await shell.run("qstat", ["-x", "-f", id]);
  return code === 0 ? stdout : "";
}
