import {
  jobLine,
  lines,
  noAnswer,
  notCancelled,
  notUnderstood,
  onlySays,
  refused,
  statesOf,
  type Hint,
} from "./answers.ts";
import { jobOf, wholeNumber } from "./describe.ts";
import { rangeNumbers } from "./task-ranges.ts";
import type { BatchSystem, Job, JobState, Shell, Submission } from "./system.ts";

/** Sun Grid Engine and its descendants (Son of Grid Engine, Univa, Altair): qsub(1), qstat(1), qdel(1). */
export const sge: BatchSystem = {
  name: "sge",
  submitCommand: "qsub",
  site: { ofJob: siteOf, here: async ({ env }) => [siteOf(env) ?? []].flat() },
  describe,
  inquire,
  submit,
  submitArray,
  marks,
  reasons,
  cancel,
  states,
  accounting,
};

/** What a cell's settings.sh calls its cluster. */
function siteOf(env: NodeJS.ProcessEnv): string | undefined {
  return env["SGE_CLUSTER_NAME"] || undefined;
}

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  const id = env["JOB_ID"];
  if (id === undefined || !/^\d+$/.test(id) || (!env["SGE_O_HOST"] && !env["SGE_TASK_ID"])) return undefined;
  const task = env["SGE_TASK_ID"];
  return jobOf({
    system: "sge",
    jobId: task === undefined || task === "" || task === "undefined" ? id : `${id}.${task}`,
    submitHost: env["SGE_O_HOST"],
    hostFile: env["PE_HOSTFILE"],
    requeues: wholeNumber(env["RESTARTED"]),
    queue: env["QUEUE"],
  });
}

/**
 * The limit is `h_rt` (or the softer `s_rt`) among the resources that `qstat -j` lists; the start is in `qstat -xml`,
 * in local time.
 */
async function inquire(job: Job, shell: Shell): Promise<Job> {
  const [number = "", task] = job.jobId?.split(".") ?? [];
  if (number === "") return job;
  const detail = await shell.run("qstat", ["-j", number]);
  if (detail.code !== 0) throw noAnswer("sge", "qstat -j", detail);
  const list = await shell.run("qstat", ["-xml", "-s", "r"]);
  if (list.code !== 0) throw noAnswer("sge", "qstat -xml", list);
  const row = parseQstatXml(list.stdout).find(
    ({ id, tasks }) => id === number && (task === undefined || tasks === task),
  );
  const started = row?.started === undefined ? Number.NaN : Date.parse(row.started);
  const startTime = Number.isNaN(started) ? undefined : started / 1000;
  const resources = /^hard[_ ]resource[_ ]list:\s*(.*)$/m.exec(detail.stdout)?.[1] ?? "";
  const limit =
    secondsOf(/(?:^|,)s_rt=([\d:]+)/.exec(resources)?.[1]) ?? secondsOf(/(?:^|,)h_rt=([\d:]+)/.exec(resources)?.[1]);
  return jobOf({
    ...job,
    startTime,
    endTime: startTime === undefined || limit === undefined ? undefined : startTime + limit,
  });
}

/** The mark is in the job's context, which is there for such words. */
async function submit(submission: Submission, shell: Shell): Promise<string> {
  return qsub(submission, [], shell);
}

async function submitArray(
  submission: Submission,
  count: number,
  shell: Shell,
): Promise<readonly string[] | undefined> {
  const { readFile } = await import("node:fs/promises");
  const text = await readFile(submission.path, "utf8").catch(() => "");
  if (/^#\$\s[^#\n]*-t\b/m.test(text)) return undefined;
  const id = await qsub(submission, ["-t", `1-${count}`], shell);
  return Array.from({ length: count }, (_, i) => `${id}.${i + 1}`);
}

async function qsub(
  { path, args = [], env = {}, cwd, mark }: Submission,
  more: readonly string[],
  shell: Shell,
): Promise<string> {
  const names = Object.keys(env);
  const variables = names.length === 0 ? [] : ["-v", names.join(",")];
  const context = mark === undefined ? [] : ["-ac", `tsdask=${mark}`];
  const ran = await shell.run("qsub", ["-terse", ...variables, ...context, ...more, ...args, path], {
    env,
    ...(cwd === undefined ? {} : { cwd }),
  });
  // With a warning, qsub ends with exit code 1 and puts the id of the job it did submit among its words on stderr. A
  // site's wrapper may leave out -terse.
  const id =
    jobLine(ran.stdout, /^(\d+)(?:\.[\d:-]+)?$/)?.[1] ??
    /Your job(?:-array)? (\d+)\S* .*has been submitted/.exec(`${ran.stderr}\n${ran.stdout}`)?.[1];
  if (id !== undefined) return id;
  throw ran.code === 0 ? notUnderstood("sge", "qsub", ran.stdout) : refused("sge", "qsub", ran, hints);
}

/** The `context` lines of `qstat -j`, below each job's `job_number`. */
async function marks(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const ran = await shell.run("qstat", ["-j", [...new Set(ids.map(wholeJob))].join(",")]);
  if (ran.code !== 0 && !/do not exist/i.test(ran.stdout + ran.stderr)) throw noAnswer("sge", "qstat -j", ran);
  const found = new Map<string, string>();
  let job = "";
  for (const line of lines(ran.stdout)) {
    const [, key = "", value = ""] = /^(\w+):\s*(.*)$/.exec(line) ?? [];
    if (key === "job_number") found.set((job = value), "");
    if (key === "context" && job !== "") found.set(job, value);
  }
  // A task has its array's.
  return new Map([
    ...found,
    ...ids.flatMap((id) => (found.has(wholeJob(id)) ? [[id, found.get(wholeJob(id)) ?? ""] as const] : [])),
  ]);
}

const wholeJob = (id: string): string => id.replace(/\.\d+$/, "");

async function cancel(ids: readonly string[], shell: Shell): Promise<void> {
  if (ids.length === 0) return;
  const ran = await shell.run("qdel", ids);
  const fine = /does not exist|has (registered|deleted)|already in deletion|job-array tasks?/i;
  if (ran.code !== 0 && !onlySays({ ...ran, stderr: ran.stderr + ran.stdout }, fine))
    throw notCancelled("sge", "qdel", ids, ran);
}

/**
 * What `qstat -j` says of a job that failed when it was started (`error reason`); what `qalter -w v` says of one that
 * not even an empty cluster can run, each job asked for alone, so no more than a few; for the others the scheduler's
 * own words (`scheduling info`), where the site has it write them.
 */
async function reasons(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const jobs = [...new Set(ids.map(wholeJob))];
  const shown = await shell.run("qstat", ["-j", jobs.join(",")]);
  const found = new Map<string, string>();
  for (const job of jobs) {
    const own = ids.filter((id) => wholeJob(id) === job);
    const { errors, scheduling } = said(shown.stdout, job);
    const failed = own.filter((id) => errors.has(taskOf(id)) || (id === job && errors.size > 0));
    for (const id of failed) found.set(id, `error reason: ${errors.get(taskOf(id)) ?? [...errors.values()][0]}`);
    if (failed.length === own.length) continue;
    const verified = jobs.indexOf(job) < mostVerified ? await impossible(job, shell) : undefined;
    const reason = verified ?? (scheduling.length === 0 ? undefined : scheduling.join("; "));
    if (reason !== undefined) for (const id of own) if (!found.has(id)) found.set(id, reason);
  }
  return found;
}

/** The number of an array's task; a job that is none has one of number 1. */
const taskOf = (id: string): string => id.split(".")[1] ?? "1";

/** A job's part of what `qstat -j` wrote: by task why it failed to start, and the scheduler's words. */
function said(
  text: string,
  job: string,
): { readonly errors: ReadonlyMap<string, string>; readonly scheduling: readonly string[] } {
  const part = text.split(/^=+$/m).find((one) => new RegExp(`^job_number: +${job}$`, "m").test(one)) ?? "";
  const errors = [...part.matchAll(/^error reason +(\d+): +(?:\S+ \S+ \[[\d:]+\]: )?(?:error: )?(.*)$/gm)];
  const scheduling = /^scheduling info: +((?:.*\n)(?: {8,}.*\n?)*)/m.exec(part)?.[1];
  return {
    errors: new Map(errors.map(([, task = "", words = ""]) => [task, words])),
    scheduling: lines(scheduling ?? "").filter((line) => !/^\(.*\)$|job is in error state/i.test(line)),
  };
}

async function impossible(job: string, shell: Shell): Promise<string | undefined> {
  const ran = await shell.run("qalter", ["-w", "v", job]);
  const words = lines(ran.stdout + ran.stderr);
  const verdict = words.find((line) => /^verification: *no suitable/i.test(line));
  if (verdict === undefined) return undefined;
  return [verdict.replace(/^verification:\s*/i, ""), ...words.filter((line) => /cannot run/i.test(line))].join("; ");
}

const mostVerified = 3;

async function states(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, JobState>> {
  if (ids.length === 0) return new Map();
  const ran = await shell.run("qstat", ["-xml"]);
  if (ran.code !== 0) throw noAnswer("sge", "qstat", ran);
  if (!/<job_info\b/.test(ran.stdout)) throw notUnderstood("sge", "qstat -xml", ran.stdout);
  return statesOf(
    ids,
    parseQstatXml(ran.stdout).flatMap(({ id, tasks = "", state }) =>
      [id, ...rangeNumbers(tasks).map((task) => `${id}.${task}`)].map((one) => [one, stateOf(state)] as const),
    ),
  );
}

/**
 * The `job_list` elements of `qstat -xml`; `state` holds qstat's letters (`qw`, `hqw`, `r`, `dr`, `Eqw`), `started` a
 * local time.
 */
function parseQstatXml(
  xml: string,
): readonly { readonly id: string; readonly state: string; readonly tasks?: string; readonly started?: string }[] {
  return [...xml.matchAll(/<job_list\b[^>]*>([\s\S]*?)<\/job_list>/g)].map(([, body = ""]) => {
    const text = (tag: string): string | undefined => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(body)?.[1];
    const [id, state, tasks, started] = [text("JB_job_number"), text("state"), text("tasks"), text("JAT_start_time")];
    if (id === undefined || state === undefined) throw notUnderstood("sge", "qstat -xml", body);
    return { id, state, ...(tasks === undefined ? {} : { tasks }), ...(started === undefined ? {} : { started }) };
  });
}

function stateOf(letters: string): JobState {
  if (letters.includes("d")) return "ending";
  if (letters.includes("E") || letters.includes("h")) return "held";
  // Suspended by somebody (s), by its queue (S), or for the host's load (T); `t` is a job on its way to its host, where
  // it may yet fail to start.
  if (/[sST]/.test(letters)) return "suspended";
  return letters.replace("qw", "").includes("r") ? "running" : "pending";
}

/** Seconds of `3600` or `[[H:]M:]S`. */
function secondsOf(time: string | undefined): number | undefined {
  return time === undefined ? undefined : time.split(":").reduce((total, part) => total * 60 + Number(part), 0);
}

const hints: readonly Hint[] = [
  [/unknown queue/i, "`qconf -sql` lists the queues; put one into the script (#$ -q) or give --queue."],
  [
    /parallel environment/i,
    "`qconf -spl` lists the parallel environments; put one into the script (#$ -pe) or give --pe.",
  ],
  [/unknown resource/i, "`qconf -sc` lists the resources (-l) that can be asked for; correct the script."],
  [
    /project|department|access/i,
    "`qconf -sprjl` lists the projects; put yours into the script (#$ -P) or give --account.",
  ],
  [
    /not allowed to run in any queue|cannot run in queue/i,
    "None of the queues takes this job; `qconf -sql` and `qconf -sq QUEUE` show their limits and who may use them.",
  ],
  [
    /unable to contact|commlib|can't get configuration/i,
    "The queue master does not answer; `qhost` tells when it is back.",
  ],
];

/** qacct(1), once the job is over; before that what `qstat -j` has of its use. */
async function accounting(id: string, shell: Shell): Promise<string> {
  const { code, stdout } = await shell.run("qacct", ["-j", id]);
  if (code === 0) return stdout;
  const running = await shell.run("qstat", ["-j", id]);
  return lines(running.stdout)
    .filter((line) => /^(job_number|submission_time|usage|hard[_ ]resource[_ ]list|parallel environment)/.test(line))
    .join("\n");
}
