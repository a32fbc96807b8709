import {
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
import { jobOf, once } from "./describe.ts";
import { directiveIn, withMark } from "./directives.ts";
import type { BatchSystem, Job, JobState, Shell, Submission } from "./system.ts";

/** IBM Spectrum LSF: bsub(1), bjobs(1), bkill(1) of its command reference. */
export const lsf: BatchSystem = {
  name: "lsf",
  submitCommand: "bsub",
  site: { ofJob: siteOf, here: async ({ env }) => [siteOf(env) ?? []].flat() },
  describe,
  inquire,
  submit,
  marks,
  reasons,
  cancel,
  states,
  accounting,
};

/** The folder of the configuration that the commands follow. */
function siteOf(env: NodeJS.ProcessEnv): string | undefined {
  return env["LSF_ENVDIR"] || undefined;
}

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  const id = env["LSB_JOBID"];
  if (id === undefined || id === "") return undefined;
  const index = env["LSB_JOBINDEX"];
  return jobOf({
    system: "lsf",
    jobId: index === undefined || index === "" || index === "0" ? id : `${id}[${index}]`,
    submitHost: env["LSB_SUB_HOST"],
    hosts: once(hostsOf(env["LSB_MCPU_HOSTS"] ?? "")),
    hostFile: env["LSB_DJOB_HOSTFILE"],
    requeues: env["LSB_RESTART"] === "Y" ? 1 : undefined,
    queue: env["LSB_QUEUE"],
  });
}

/** The hosts of `LSB_MCPU_HOSTS`: pairs of a name and its number of slots. */
function hostsOf(pairs: string): readonly string[] {
  return pairs.split(/\s+/).filter((word, i) => i % 2 === 0 && word !== "");
}

/**
 * `time_left` is `hours:minutes` and a letter that says where the limit is from, or `-` without a limit; whole minutes,
 * so never too late.
 */
async function inquire(job: Job, shell: Shell): Promise<Job> {
  if (job.jobId === undefined) return job;
  const ran = await shell.run("bjobs", ["-noheader", "-o", "time_left", job.jobId]);
  if (ran.code !== 0) throw noAnswer("lsf", "bjobs", ran);
  const text = lines(ran.stdout)[0] ?? "";
  if (text === "-") return job;
  const match = /^(\d+):(\d{1,2})(?:\s+[A-Z])?$/.exec(text);
  if (match === null) throw notUnderstood("lsf", "bjobs", ran.stdout);
  return jobOf({ ...job, endTime: Math.floor(shell.now()) + Number(match[1]) * 3600 + Number(match[2]) * 60 });
}

/**
 * bsub reads `#BSUB` lines only from its standard input, and passes its own environment on to the job. The mark goes
 * behind the description that those lines ask for: the command line's replaces it.
 */
async function submit({ path, args = [], env = {}, cwd, mark }: Submission, shell: Shell): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  const text = await readFile(path, "utf8");
  const description = mark === undefined ? [] : ["-Jd", withMark(directiveIn(text, descriptionDirective), mark)];
  const ran = await shell.run("bsub", [...description, ...args], {
    input: text,
    env,
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (ran.code !== 0) throw refused("lsf", "bsub", ran, hints);
  const id = /^Job <(\d+)> is submitted to /m.exec(ran.stdout)?.[1];
  if (id === undefined) throw notUnderstood("lsf", "bsub", ran.stdout);
  return id;
}

const descriptionDirective = /^#BSUB\s[^#\n]*-Jd\s+(?:"([^"\n]*)"|'([^'\n]*)'|(\S+))/m;

/** The jobs' descriptions. */
async function marks(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const ran = await shell.run("bjobs", ["-a", "-noheader", "-o", "jobid jobindex description delimiter='|'", ...ids]);
  if (ran.code !== 0 && !onlySays({ ...ran, stdout: "" }, /is not found|no matching job|no job found/i))
    throw noAnswer("lsf", "bjobs", ran);
  return new Map(
    lines(ran.stdout).flatMap((line) => {
      const [id = "", index = "", ...description] = line.split("|");
      return [id, `${id}[${index}]`].map((one) => [one, description.join("|")] as const);
    }),
  );
}

async function cancel(ids: readonly string[], shell: Shell): Promise<void> {
  if (ids.length === 0) return;
  const ran = await shell.run("bkill", ids);
  const fine = /being terminated|no matching job|already finished|is not found|being signaled/i;
  if (ran.code !== 0 && !onlySays({ ...ran, stdout: "", stderr: ran.stdout + ran.stderr }, fine))
    throw notCancelled("lsf", "bkill", ids, ran);
}

/** `bjobs -p`: a line for each pending job, and below it, indented, why: bjobs(1). */
async function reasons(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const ran = await shell.run("bjobs", ["-p", ...ids]);
  const found = new Map<string, string>();
  let job: string | undefined;
  for (const line of ran.stdout.split("\n")) {
    const [, id, index] = /^(\d+)\s.*?(?:\[(\d+)\])?\s/.exec(line) ?? [];
    if (id !== undefined) job = ids.includes(`${id}[${index}]`) ? `${id}[${index}]` : id;
    else if (job !== undefined && /^\s+\S/.test(line))
      found.set(job, [found.get(job), line.trim()].filter((part) => part !== undefined).join(" "));
  }
  return found;
}

async function states(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, JobState>> {
  if (ids.length === 0) return new Map();
  const ran = await shell.run("bjobs", ["-a", "-noheader", "-o", "jobid jobindex stat delimiter='|'", ...ids]);
  if (ran.code !== 0 && !onlySays({ ...ran, stdout: "" }, /is not found|no matching job|no job found/i))
    throw noAnswer("lsf", "bjobs", ran);
  return statesOf(
    ids,
    lines(ran.stdout).flatMap((line) => {
      const [id, index, word] = line.split("|");
      const state = stateNamed(jobStates, word);
      if (id === undefined || state === undefined) throw notUnderstood("lsf", "bjobs", line);
      return [
        [id, state],
        [`${id}[${index}]`, state],
      ] as const;
    }),
  );
}

/** The `stat` words of bjobs(1). */
const jobStates: Readonly<Record<string, JobState>> = {
  PEND: "pending",
  WAIT: "pending",
  PROV: "pending",
  FWD_PEND: "pending",
  PSUSP: "held",
  RUN: "running",
  USUSP: "suspended",
  SSUSP: "suspended",
  UNKWN: "running",
  DONE: "gone",
  EXIT: "gone",
  ZOMBI: "gone",
};

const hints: readonly Hint[] = [
  [
    /no such queue|queue.*(closed|inactive)|cannot use the queue/i,
    "`bqueues -u $USER` lists your queues; put one into the script (#BSUB -q) or give --queue.",
  ],
  [/project|user group|service class/i, "Put your project into the script (#BSUB -P) or give --account."],
  [/RUNLIMIT|run ?limit|limit/i, "`bqueues -l` shows each queue's limits; lower the script's -W or its size."],
  [
    /resource requirement|bad resource/i,
    "`bhosts -w` and `lsload -l` show what the hosts have; correct the script's -R lines.",
  ],
  [
    /LSF daemon|master|not responding|cannot connect/i,
    "LSF does not answer; `badmin showstatus` or `bhosts` tell when it is back.",
  ],
];

/** bjobs(1), as long as the job is remembered. */
async function accounting(id: string, shell: Shell): Promise<string> {
  const { code, stdout } = await shell.run("bjobs", ["-l", "-a", id]);
  return code === 0 ? stdout : "";
}
