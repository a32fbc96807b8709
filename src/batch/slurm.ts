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
import { jobOf, once, wholeNumber } from "./describe.ts";
import { expandHostlist } from "./hostlist.ts";
import { directiveIn, optionIn, scriptText, withMark } from "./directives.ts";
import { rangesText } from "./task-ranges.ts";
import type { BatchSystem, Job, JobState, Ran, Shell, Submission } from "./system.ts";

/** Slurm: https://slurm.schedmd.com/sbatch.html, squeue.html, scancel.html. */
export const slurm: BatchSystem = {
  name: "slurm",
  submitCommand: "sbatch",
  // Slurm keeps its clusters' names in small letters.
  site: {
    ofJob: (env) => env["SLURM_CLUSTER_NAME"]?.toLowerCase() || undefined,
    here: async (shell) => {
      const { stdout } = await shell.run("scontrol", ["show", "config"]);
      return [...stdout.matchAll(/^ClusterName\s*=\s*(\S+)$/gm)].map(([, name = ""]) => name.toLowerCase());
    },
  },
  describe,
  inquire,
  submit,
  submitArray,
  marks,
  marked,
  cancel,
  states,
  reasons,
  accounting,
};

/** The time (s) that slurmctld gives a job for which nobody says a limit; squeue's `%l` for such jobs. */
const aYear = 365 * 86_400;
const noLimits = ["UNLIMITED", "NOT_SET", "365-00:00:00"];

function describe(env: NodeJS.ProcessEnv): Job | undefined {
  const jobId = env["SLURM_JOB_ID"] || env["SLURM_JOBID"];
  if (jobId === undefined || jobId === "") return undefined;
  const [array, task] = [env["SLURM_ARRAY_JOB_ID"], env["SLURM_ARRAY_TASK_ID"]];
  const [end, start] = [wholeNumber(env["SLURM_JOB_END_TIME"]), wholeNumber(env["SLURM_JOB_START_TIME"])];
  const unlimited = end !== undefined && start !== undefined && end - start === aYear;
  return jobOf({
    system: "slurm",
    jobId: array && task ? `${array}_${task}` : jobId,
    submitHost: env["SLURM_SUBMIT_HOST"],
    endTime: unlimited ? undefined : end,
    startTime: start,
    hosts: once(expandHostlist(env["SLURM_JOB_NODELIST"] ?? "") ?? []),
    requeues: wholeNumber(env["SLURM_RESTART_COUNT"]),
    queue: env["SLURM_JOB_PARTITION"],
  });
}

/** Older Slurms do not export the end time; `SLURM_TIME_FORMAT=%s` makes squeue print seconds since 1970. */
async function inquire(job: Job, shell: Shell): Promise<Job> {
  if (job.jobId === undefined || (job.endTime !== undefined && job.startTime !== undefined)) return job;
  const ran = await squeue(["-j", job.jobId, "-o", "%e|%S|%l"], shell, { SLURM_TIME_FORMAT: "%s" });
  if (ran.code !== 0) throw noAnswer("slurm", "squeue", ran);
  // In a federation the cluster that a job was submitted to has a line for it, too, with N/A.
  const rows = lines(ran.stdout);
  const [end, start, limit] = (rows.find((row) => !row.startsWith("N/A|N/A")) ?? rows[0])?.split("|") ?? [];
  if (end === undefined || start === undefined || limit === undefined)
    throw notUnderstood("slurm", "squeue", ran.stdout);
  const limited = !noLimits.includes(limit);
  return jobOf({
    ...job,
    endTime: job.endTime ?? (limited ? wholeNumber(end) : undefined),
    startTime: job.startTime ?? wholeNumber(start),
  });
}

/** The mark goes behind the comment that the script's own directives ask for: the command line's replaces it. */
async function submit(submission: Submission, shell: Shell): Promise<string> {
  const ran = await sbatch(submission, [], shell);
  if (ran.code !== 0) throw refused("slurm", "sbatch", ran, hints);
  return jobIdOf(ran);
}

/** A site may allow fewer tasks (`MaxArraySize`), or no arrays at all. */
async function submitArray(
  submission: Submission,
  count: number,
  shell: Shell,
): Promise<readonly string[] | undefined> {
  if (directiveIn(await scriptText(submission.path), arrayDirective) !== undefined) return undefined;
  // "Job arrays run on the origin cluster": Slurm's federation guide. Jobs of their own run on all of them.
  if (/^Federation:/m.test((await shell.run("scontrol", ["show", "federation"])).stdout)) return undefined;
  const ran = await sbatch(submission, [`--array=1-${count}`], shell);
  if (ran.code !== 0 && /invalid job array/i.test(ran.stderr)) return undefined;
  if (ran.code !== 0) throw refused("slurm", "sbatch", ran, hints);
  const id = jobIdOf(ran);
  return Array.from({ length: count }, (_, i) => `${id}_${i + 1}`);
}

async function sbatch(
  { path, args = [], env = {}, cwd, mark }: Submission,
  more: readonly string[],
  shell: Shell,
): Promise<Ran> {
  const text = await scriptText(path);
  const comment = mark === undefined ? [] : [`--comment=${withMark(directiveIn(text, commentDirective), mark)}`];
  const exports = exportOf(shell.env["SBATCH_EXPORT"] || optionIn(text, "#SBATCH", "--export(?:=|\\s+)"), env);
  return shell.run("sbatch", ["--parsable", ...comment, ...exports, ...more, ...args, path], {
    env,
    ...(cwd === undefined ? {} : { cwd }),
  });
}

/**
 * Has the job's variables pass where `--export` (`own`) keeps the submitter's environment out: a name alone takes the
 * value from sbatch's own, so that no value has to be quoted. NONE and NIL go with no names; names alone keep all else
 * out as well.
 */
function exportOf(own: string | undefined, env: Readonly<Record<string, string>>): readonly string[] {
  const names = Object.keys(env);
  const words = (own ?? "ALL").split(",");
  if (names.length === 0 || words.some((word) => /^all$/i.test(word))) return [];
  const kept = words.filter((word) => !/^(?:none|nil)$/i.test(word));
  return [`--export=${[...kept, ...names].join(",")}`];
}

/** A site's wrapper may leave out --parsable. */
function jobIdOf(ran: Ran): string {
  const id = jobLine(ran.stdout, /^(?:Submitted batch job )?(\d+)(?:;\S+| on cluster \S+)?$/)?.[1];
  if (id === undefined) throw notUnderstood("slurm", "sbatch", ran.stdout);
  return id;
}

const commentDirective = /^#SBATCH\s[^#\n]*--comment(?:=|\s+)(?:"([^"\n]*)"|'([^'\n]*)'|(\S+))/m;

const arrayDirective = /^#SBATCH\s[^#\n]*(--array\b|-a\b)/m;

/** The jobs' comments. */
async function marks(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const ran = await squeue(["-j", wholeArrays(ids), "-o", "%F|%i|%k", "-r"], shell);
  if (ran.code !== 0 && !onlySays(ran, /invalid job id/i)) throw noAnswer("slurm", "squeue", ran);
  return new Map(
    lines(ran.stdout).flatMap((line) => {
      const [array = "", id = "", ...comment] = line.split("|");
      return [array, id].map((one) => [one, comment.join("|")] as const);
    }),
  );
}

/** By number, as older Slurms have no `--me`. In a federation a job has a line for each cluster that knows it. */
async function marked(mark: string, shell: Shell): Promise<readonly string[]> {
  const ran = await squeue(["-u", String(process.getuid?.()), "-o", "%i|%T|%k", "-r"], shell);
  if (ran.code !== 0) throw noAnswer("slurm", "squeue", ran);
  const ids = lines(ran.stdout).flatMap((line) => {
    const [id = "", word, ...comment] = line.split("|");
    const state = stateNamed(jobStates, word);
    return comment.join("|").includes(mark) && state !== "ending" && state !== "gone" ? [id] : [];
  });
  return [...new Set(ids)];
}

async function cancel(ids: readonly string[], shell: Shell): Promise<void> {
  if (ids.length === 0) return;
  const ran = await shell.run("scancel", byArray(ids));
  if (ran.code !== 0 && !onlySays(ran, /invalid job id|already completing or completed/i))
    throw notCancelled("slurm", "scancel", ids, ran);
}

/**
 * In a federation (and only there) all its clusters are asked for all that they have of a job: one that another cluster
 * has taken is "revoked" on the one it was submitted to, and only `--sibling` shows where it runs (seen with 22.05).
 */
function squeue(args: readonly string[], shell: Shell, env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return shell.run("squeue", ["-h", ...args], { env: { SQUEUE_FEDERATION: "1", SQUEUE_SIBLING: "1", ...env } });
}

/** What to ask squeue for: whole arrays, of which `-r` lists the tasks, so that the question stays short. */
function wholeArrays(ids: readonly string[]): string {
  return [...new Set(ids.map((id) => id.replace(/_\d+$/, "")))].join(",");
}

/** `12_1 12_2 12_7 13` as `12_[1-2,7] 13`: the controller is asked once for each array. */
function byArray(ids: readonly string[]): readonly string[] {
  return [...Map.groupBy(ids, (id) => id.replace(/_\d+$/, ""))].flatMap(([array, tasks]) => {
    const numbers = tasks.filter((id) => id !== array).map((id) => Number(id.slice(array.length + 1)));
    const jobs = numbers.length === tasks.length ? [] : [array];
    return numbers.length === 0 ? jobs : [...jobs, `${array}_[${rangesText(numbers)}]`];
  });
}

async function states(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, JobState>> {
  if (ids.length === 0) return new Map();
  const ran = await squeue(["-j", wholeArrays(ids), "-o", "%F|%i|%T|%r", "-r"], shell);
  if (ran.code !== 0 && !onlySays(ran, /invalid job id/i)) throw noAnswer("slurm", "squeue", ran);
  return statesOf(
    ids,
    lines(ran.stdout).flatMap((line) => {
      const [array, id, word, reason = ""] = line.split("|");
      const state = stateNamed(jobStates, word);
      if (array === undefined || id === undefined || state === undefined) throw notUnderstood("slurm", "squeue", line);
      const seen: JobState = state === "pending" && /^JobHeld/.test(reason) ? "held" : state;
      return [
        [array, seen],
        [id, seen],
      ] as const;
    }),
  );
}

async function reasons(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const ran = await squeue(["-t", "PD", "-j", wholeArrays(ids), "-o", "%F|%i|%r|%S", "-r"], shell);
  if (ran.code !== 0 && !onlySays(ran, /invalid job id/i)) throw noAnswer("slurm", "squeue", ran);
  return new Map(
    lines(ran.stdout).flatMap((line) => {
      const [array = "", id = "", reason = "", start = "N/A"] = line.split("|");
      const text = start === "N/A" ? reason : `${reason}, expected to start at ${start}`;
      return reason === "" || reason === "None" ? [] : [[array, text] as const, [id, text] as const];
    }),
  );
}

/**
 * sacct(1) where the site keeps accounts, else what the controller still remembers, scontrol(1); while the job runs
 * what its steps use, sstat(1).
 */
async function accounting(id: string, shell: Shell): Promise<string> {
  const fields = "JobID,State,ExitCode,Elapsed,Timelimit,NNodes,NCPUS,TotalCPU,ReqMem,MaxRSS";
  const [used, kept] = await Promise.all([
    shell.run("sstat", ["-a", "-j", id, "--format=JobID,NTasks,AveCPU,MaxRSS,MaxRSSNode"]),
    shell.run("sacct", ["-j", id, "--units=M", `--format=${fields}`]),
  ]);
  // Their headings are two lines.
  const told = ({ code, stdout }: Ran): boolean => code === 0 && lines(stdout).length > 2;
  const steps = told(used) ? `\n${used.stdout}` : "";
  if (told(kept)) return kept.stdout + steps;
  const shown = await shell.run("scontrol", ["show", "job", id]);
  return shown.code === 0 ? shown.stdout + steps : "";
}

/** Job state codes of squeue(1). */
const jobStates: Readonly<Record<string, JobState>> = {
  PENDING: "pending",
  CONFIGURING: "pending",
  REQUEUED: "pending",
  REQUEUE_FED: "pending",
  EXPEDITING: "pending",
  REQUEUE_HOLD: "held",
  SPECIAL_EXIT: "held",
  RESV_DEL_HOLD: "held",
  RUNNING: "running",
  SUSPENDED: "suspended",
  RESIZING: "running",
  SIGNALING: "running",
  STOPPED: "suspended",
  POWER_UP_NODE: "pending",
  COMPLETING: "ending",
  STAGE_OUT: "ending",
  BOOT_FAIL: "gone",
  CANCELLED: "gone",
  COMPLETED: "gone",
  DEADLINE: "gone",
  FAILED: "gone",
  LAUNCH_FAILED: "gone",
  NODE_FAIL: "gone",
  OUT_OF_MEMORY: "gone",
  PREEMPTED: "gone",
  REVOKED: "gone",
  TIMEOUT: "gone",
  RECONFIG_FAIL: "gone",
};

const hints: readonly Hint[] = [
  [
    /invalid partition/i,
    "`sinfo -s` lists the partitions; put one into the script (#SBATCH --partition) or give --queue.",
  ],
  [
    /account|association/i,
    "`sacctmgr show assoc user=$USER format=account,partition,qos` lists your accounts; put one into the script (#SBATCH --account) or give --account.",
  ],
  [
    /time limit|MaxTime|DEADLINE/i,
    "`sinfo -o '%P %l'` shows each partition's longest time; lower the script's --time.",
  ],
  [
    /node configuration|node count|CPU count|memory specification|gres/i,
    "`sinfo -N -o '%N %c %m %G'` shows what the nodes have; ask for no more nodes, ranks, threads, memory or GPUs than that.",
  ],
  [
    /QOS|limit/i,
    "A limit of your account was reached; wait for jobs to end, or ask for less. `sacctmgr show qos` shows the limits.",
  ],
  [
    /unable to contact|connection refused|socket timed out/i,
    "Slurm's controller does not answer; `scontrol ping` tells when it is back.",
  ],
  [
    /configuration source|failed to fetch config|munge|authentication/i,
    "Slurm is not set up on this host: submit on a login node, or set SLURM_CONF to the site's slurm.conf.",
  ],
  [/unable to open file|no such file/i, "Check the script's path."],
];
