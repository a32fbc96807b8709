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
import { condorText } from "./condor-text.ts";
import { jobOf, wholeNumber } from "./describe.ts";
import type { BatchSystem, Job, JobState, Shell, Submission } from "./system.ts";

/** HTCondor: condor_submit(1), condor_q(1), condor_rm(1), and the job ClassAd attributes of its manual. */
export const htcondor: BatchSystem = {
  name: "htcondor",
  submitCommand: "condor_submit",
  describe,
  inquire,
  submit,
  marks,
  reasons,
  accounting,
  cancel,
  states,
};

/**
 * HTCondor gives a job no variable with its id; scripts of ours set `TSDASK_CONDOR_ID`, others are told from the job's
 * ClassAd by `inquire`.
 */
function describe(env: NodeJS.ProcessEnv): Job | undefined {
  if (!env["_CONDOR_JOB_AD"] && !env["_CONDOR_SCRATCH_DIR"]) return undefined;
  return jobOf({ system: "htcondor", jobId: env["TSDASK_CONDOR_ID"], hostFile: undefined });
}

/** The job's own ClassAd lies beside it as a file of `Name = value` lines. */
async function inquire(job: Job, shell: Shell): Promise<Job> {
  const path = shell.env["_CONDOR_JOB_AD"];
  if (path === undefined || path === "") return job;
  const { readFile } = await import("node:fs/promises");
  return jobOf({ ...job, ...parseJobAd(await readFile(path, "utf8")), system: "htcondor" });
}

/**
 * What a job's ClassAd says: id, submit host, start, and the end where `AllowedJobDuration` or `AllowedExecuteDuration`
 * bounds it.
 */
export function parseJobAd(text: string): Partial<Job> {
  const ad = new Map(
    lines(text).flatMap((line) => {
      const match = /^(\w+)\s*=\s*(.*)$/.exec(line);
      return match === null
        ? []
        : [[match[1]?.toLowerCase() ?? "", (match[2] ?? "").replace(/^"(.*)"$/, "$1")] as const];
    }),
  );
  const [cluster, proc] = [ad.get("clusterid"), ad.get("procid")];
  const startTime = wholeNumber(ad.get("jobcurrentstartdate"));
  const allowed = wholeNumber(ad.get("allowedjobduration")) ?? wholeNumber(ad.get("allowedexecuteduration"));
  return jobOf({
    system: "htcondor",
    jobId: cluster === undefined || proc === undefined ? undefined : `${cluster}.${proc}`,
    submitHost: /^([^#]+)#/.exec(ad.get("globaljobid") ?? "")?.[1],
    startTime,
    endTime: startTime === undefined || allowed === undefined ? undefined : startTime + allowed,
  });
}

/**
 * A submit description cannot see our environment; values go in as macros, to stand between quotes as
 * `'$(TSDASK_SCHEDULER_FILE)'` does in scripts of ours.
 */
async function submit({ path, args = [], env = {}, cwd, mark }: Submission, shell: Shell): Promise<string> {
  const macros = Object.entries(env).map(([name, value]) => `${name}=${condorText(value)}`);
  const attribute = mark === undefined ? [] : ["-append", `+TsdaskWorkerJob = "${mark}"`];
  const words = ["-terse", ...attribute, ...args, ...macros, path];
  const ran = await shell.run("condor_submit", words, cwd === undefined ? {} : { cwd });
  if (ran.code !== 0) throw refused("htcondor", "condor_submit", ran, hints);
  const match = jobLine(ran.stdout, /^(\d+)\.(\d+) - (\d+)\.(\d+)$/);
  if (match === null) throw notUnderstood("htcondor", "condor_submit", ran.stdout);
  return match[2] === match[4] ? `${match[1]}.${match[2]}` : `${match[1]}`;
}

/** An attribute of the job's ClassAd. */
async function marks(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const ran = await shell.run("condor_q", [...ids, "-af", "ClusterId", "ProcId", "TsdaskWorkerJob"]);
  if (ran.code !== 0) throw noAnswer("htcondor", "condor_q", ran);
  return new Map(
    lines(ran.stdout).flatMap((line) => {
      const [cluster = "", proc = "", mark = ""] = line.split(/\s+/);
      return [cluster, `${cluster}.${proc}`].map((one) => [one, mark] as const);
    }),
  );
}

async function cancel(ids: readonly string[], shell: Shell): Promise<void> {
  if (ids.length === 0) return;
  const ran = await shell.run("condor_rm", ids);
  const fine = /not found|marked for removal|couldn't find/i;
  if (ran.code !== 0 && !onlySays({ ...ran, stdout: "", stderr: ran.stdout + ran.stderr }, fine))
    throw notCancelled("htcondor", "condor_rm", ids, ran);
}

/**
 * Why a job is held, and for one that waits the condition of its own that no machine meets, by `condor_q
 * -better-analyze`; each job is analysed alone, so no more than a few. A busy machine offers less than it has: only
 * what is more than any machine has when it is idle is told as what none can ever give.
 */
async function reasons(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const asked = ["ClusterId", "ProcId", "JobStatus", "RequestCpus", "RequestMemory", "RequestGPUs", "HoldReason"];
  const ran = await shell.run("condor_q", [...ids, "-af", ...asked]);
  if (ran.code !== 0) throw noAnswer("htcondor", "condor_q", ran);
  const found = new Map<string, string>();
  let machines: Promise<readonly (readonly number[])[]> | undefined;
  let analysed = 0;
  for (const line of lines(ran.stdout)) {
    const [cluster, proc, status, cpus, memory, gpus, ...words] = line.split(/\s+/);
    const id = ids.find((one) => one === cluster || one === `${cluster}.${proc}`);
    if (id === undefined || found.has(id)) continue;
    if (status === "5") found.set(id, `on hold: ${words.join(" ")}`);
    if (status !== "1" || analysed >= mostAnalysed) continue;
    analysed += 1;
    machines ??= machinesOf(shell);
    const reason =
      tooLarge([cpus, memory, gpus], await machines) ??
      analysis((await shell.run("condor_q", ["-better-analyze", id])).stdout);
    if (reason !== undefined) found.set(id, reason);
  }
  return found;
}

/** Cores, MB of memory and GPUs of each machine in all; none where the pool shows no machine just now. */
async function machinesOf(shell: Shell): Promise<readonly (readonly number[])[]> {
  const ran = await shell.run("condor_status", ["-af", "TotalSlotCpus", "TotalSlotMemory", "TotalSlotGPUs"]);
  return ran.code === 0 ? lines(ran.stdout).map((line) => line.split(/\s+/).map(amount)) : [];
}

const amount = (word: string | undefined): number => wholeNumber(word) ?? 0;

/**
 * What a job asks for (cores, MB of memory, GPUs) beyond what each machine has in all; undefined where one is large
 * enough, or none is known. Pure.
 */
function tooLarge(
  wanted: readonly (string | undefined)[],
  machines: readonly (readonly number[])[],
): string | undefined {
  if (machines.length === 0) return undefined;
  const asks = wanted.map(amount);
  if (machines.some((has) => asks.every((many, index) => many <= (has[index] ?? 0)))) return undefined;
  const text = (values: readonly number[]): string =>
    ["cores", "MB of memory", "GPUs"]
      .flatMap((unit, index) => (asks[index] === 0 ? [] : [`${values[index] ?? 0} ${unit}`]))
      .join(", ");
  const most = asks.map((_, index) => Math.max(...machines.map((has) => has[index] ?? 0)));
  return `no machine of the pool is large enough: ${text(asks)} are asked for, the most that any has is ${text(most)}`;
}

/** What `condor_q -better-analyze` came to: the conditions that no slot meets, else its own words. */
function analysis(text: string): string | undefined {
  const unmet = [...text.matchAll(/^\[\d+\] +0 +(\S.*?) *$/gm)].map((match) => match[1]);
  if (unmet.length > 0) return `no slot meets ${unmet.join(" and ")}`;
  const busy = /^ *([1-9]\d*) match but are serving other users/m.exec(text)?.[1];
  if (busy !== undefined) return `${busy} matching slots serve other users`;
  const said =
    /(?:Reason for last match failure:\s*(.+)|(.*has not yet been considered.*|.*No (?:machines|resources) matched.*))/i;
  const [, failure, other] = said.exec(text) ?? [];
  return (failure ?? other)?.trim();
}

const mostAnalysed = 3;

async function states(ids: readonly string[], shell: Shell): Promise<ReadonlyMap<string, JobState>> {
  if (ids.length === 0) return new Map();
  const asked = ["ClusterId", "ProcId", "JobStatus", "JobCurrentStartDate", "JobCurrentStartExecutingDate"];
  const ran = await shell.run("condor_q", [...ids, "-af", ...asked]);
  if (ran.code !== 0) throw noAnswer("htcondor", "condor_q", ran);
  return statesOf(
    ids,
    lines(ran.stdout).flatMap((line) => {
      const [cluster, proc, code, start, executing] = line.split(/\s+/);
      const named = stateNamed(jobStates, code);
      const state = named === "running" && isBeginning(wholeNumber(start), wholeNumber(executing)) ? "pending" : named;
      if (cluster === undefined || state === undefined) throw notUnderstood("htcondor", "condor_q", line);
      return [
        [cluster, state],
        [`${cluster}.${proc}`, state],
      ] as const;
    }),
  );
}

/** So long (s) a job may take from its start until its program is executed, with the transfer of its files. */
const longestBeginning = 60;

/**
 * Whether a job that is called running has no program yet: its machine may still put it on hold, for an output file
 * that cannot be opened for example. `start` and `executing` in seconds of the epoch; a pool that does not tell both is
 * believed.
 */
function isBeginning(start: number | undefined, executing: number | undefined): boolean {
  if (start === undefined || (executing !== undefined && executing >= start)) return false;
  return Math.abs(Date.now() / 1000 - start) < longestBeginning;
}

/** `JobStatus`: 1 idle, 2 running, 3 removing, 4 completed, 5 held, 6 transferring output, 7 suspended. */
const jobStates: Readonly<Record<string, JobState>> = {
  1: "pending",
  2: "running",
  3: "ending",
  4: "gone",
  5: "held",
  6: "ending",
  7: "suspended",
};

const hints: readonly Hint[] = [
  [
    /failed to parse|parse error|syntax/i,
    "Correct that line of the submit description; `condor_submit -dry-run - FILE` checks it.",
  ],
  [/accounting|group|project/i, "Put your accounting group into the description (accounting_group) or give --account."],
  [/can't open|no such file|executable/i, "Check the description's path and its `executable`."],
  [
    /can't find address|failed to connect|schedd/i,
    "No scheduler (schedd) answers here; submit on an access point of the pool.",
  ],
];

/** condor_history(1), once the job has left the queue: seconds of processor and wall-clock time, MB of memory. */
async function accounting(id: string, shell: Shell): Promise<string> {
  const attributes = ["ClusterId", "ProcId", "ExitCode", "RemoteWallClockTime", "RemoteUserCpu", "RemoteSysCpu"];
  const { code, stdout } = await shell.run("condor_history", [
    id,
    "-limit",
    "1",
    "-af:lrng",
    ...attributes,
    "MemoryUsage",
    "RequestCpus",
    "RequestMemory",
    "LastRemoteHost",
  ]);
  return code === 0 ? stdout : "";
}
