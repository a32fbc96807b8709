import type { BatchSystem, Job, JobState, Shell, Submission } from "./system.ts";
import { procStat, startedWith } from "../launcher/proc-stat.ts";
import { pauseFor } from "../timers.ts";

/**
 * Where there is no batch system: a "job" is a process group in the background of this machine. Its id,
 * `local.<pid>.<start>`, holds the process's start in clock ticks since boot (field 22 of proc_pid_stat(5)), so that a
 * reused pid is not taken for it.
 */
export const local: BatchSystem = {
  name: "local",
  submitCommand: "sh",
  describe,
  inquire,
  submit,
  marks,
  cancel,
  states,
};

function describe(): Job | undefined {
  return undefined;
}

async function inquire(job: Job): Promise<Job> {
  return job;
}

/** The shell learns the id from its own /proc entry, sets it as TSDASK_JOB and becomes the script. */
const starter = `
read -r stat < /proc/$$/stat
set -- "$1" "\${stat##*) }"
script=$1
set -- $2
export TSDASK_JOB="local.$$.\${20}"
if [ -x "$script" ]; then exec "$script"; else exec bash "$script"; fi`;

async function submit({ path, env = {}, cwd, logFolder, mark = "1" }: Submission, shell: Shell): Promise<string> {
  const [{ spawn }, { openSync, closeSync, mkdirSync }, { join }] = await Promise.all([
    import("node:child_process"),
    import("node:fs"),
    import("node:path"),
  ]);
  if (logFolder !== undefined) mkdirSync(logFolder, { recursive: true, mode: 0o700 });
  const output =
    logFolder === undefined
      ? "ignore"
      : openSync(join(logFolder, `local-job-${Math.round(shell.now() * 1000)}.log`), "a", 0o600);
  try {
    const child = spawn("/bin/sh", ["-c", starter, "sh", path], {
      detached: true,
      stdio: ["ignore", output, output],
      env: { ...shell.env, ...env, TSDASK_WORKER_JOB: mark },
      ...(cwd === undefined ? {} : { cwd }),
    });
    await new Promise<void>((resolve, reject) => child.once("spawn", resolve).once("error", reject));
    child.unref();
    const { pid } = child;
    return `local.${pid}.${(pid === undefined ? undefined : procStat(pid))?.start ?? 0}`;
  } finally {
    if (output !== "ignore") closeSync(output);
  }
}

/** What `TSDASK_WORKER_JOB` says in the processes that the ids name. */
async function marks(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const found = await Promise.all(
    ids.map(async (id): Promise<readonly (readonly [string, string])[]> => {
      const pid = await startedPid(id);
      if (pid === undefined) return [];
      const mine = (await isMarked(pid, id)) ? await environmentOf(pid) : [];
      return [[id, mine.find((entry) => entry.startsWith(`${markVariable}=`)) ?? ""]];
    }),
  );
  return new Map(found.flat());
}

/** SIGTERM to each job's process group: its ranks end in order. */
async function cancel(ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const pid = await livePid(id);
    if (pid !== undefined) process.kill(-pid, "SIGTERM");
  }
}

async function states(ids: readonly string[]): Promise<ReadonlyMap<string, JobState>> {
  const pairs = ids.map(
    async (id): Promise<readonly [string, JobState]> => [id, (await livePid(id)) === undefined ? "gone" : "running"],
  );
  return new Map(await Promise.all(pairs));
}

async function livePid(id: string): Promise<number | undefined> {
  const pid = await startedPid(id);
  return pid !== undefined && (await isMarked(pid, id)) ? pid : undefined;
}

/** The process of an id, if it runs and has started when the id says. */
async function startedPid(id: string): Promise<number | undefined> {
  const [, pid, start] = /^local\.(\d+)\.(\d+)$/.exec(id) ?? [];
  const found = pid === undefined ? undefined : procStat(Number(pid));
  const runs = found !== undefined && found.start === start && found.state !== "Z" && found.state !== "X";
  return runs ? Number(pid) : undefined;
}

/**
 * Whether a process was started as this job: its own id in its environment, or, in the moment before the shell has set
 * that, the mark of any worker job.
 */
async function isMarked(pid: number, id: string): Promise<boolean> {
  const environment = await environmentOf(pid);
  return (
    environment.includes(`TSDASK_JOB=${id}`) ||
    (environment.some((entry) => entry.startsWith(`${markVariable}=`)) &&
      !environment.some((entry) => entry.startsWith("TSDASK_JOB=")))
  );
}

const markVariable = "TSDASK_WORKER_JOB";

async function environmentOf(pid: number): Promise<readonly string[]> {
  let found = startedWith(pid);
  for (let look = 0; look < 5 && found === "starting"; look += 1) {
    await pauseFor(10);
    found = startedWith(pid);
  }
  return typeof found === "string" ? [] : found;
}
