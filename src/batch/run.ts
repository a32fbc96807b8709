import type { ChildProcess } from "node:child_process";
import { execa } from "execa";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { launcherVariables } from "../launcher/known.ts";
import { refuseClosedFolder } from "../security/folder-trouble.ts";
import { pauseFor } from "../timers.ts";
import type { Shell } from "./system.ts";

/**
 * Real commands, in the environment of a fresh login rather than of the job this process may run in (see `outsideJob`).
 * `run` throws Failure TSD-091 when a command is not installed, TSD-092 when it did not end within `deadline` ms,
 * TSD-208 where the folder to start it in is not there or closed.
 */
export function commandShell({
  env,
  deadline = deadlines.batchCommand,
}: {
  readonly env: NodeJS.ProcessEnv;
  readonly deadline?: number;
}): Shell {
  const base = outsideJob(env);
  return {
    env,
    now: () => Date.now() / 1000,
    run: async (command, args, given = {}) => {
      const child = execa(command, [...args], {
        env: { ...base, ...given.env },
        extendEnv: false,
        reject: false,
        timeout: deadline,
        forceKillAfterDelay: deadlines.batchCommandEnds,
        maxBuffer: 20_000_000,
        ...(given.input === undefined ? { stdin: "ignore" as const } : { input: given.input }),
        ...(given.cwd === undefined ? {} : { cwd: given.cwd }),
      });
      const ran = await answerOf(child, child.nodeChildProcess, deadline);
      if (ran === undefined) {
        const cure = `Try \`${command}\` by hand, and this again when it answers.`;
        throw new Failure("TSD-092", { command, seconds: Math.round(deadline / 1000), cure });
      }
      const notStarted = ran.code === "ENOENT" || ran.code === "EACCES";
      // The system says the same of a program and of the folder in which it should start.
      if (notStarted && given.cwd !== undefined) refuseClosedFolder(given.cwd);
      if (notStarted) throw new Failure("TSD-091", { command }, { cause: ran.cause });
      return { code: ran.exitCode ?? 128, stdout: ran.stdout ?? "", stderr: ran.stderr ?? "" };
    },
  };
}

/**
 * What a command has said; undefined where it had not ended within `deadline` ms, be it that nothing can kill it, as it
 * waits for a dead NFS server. What it left behind may hold its pipes for hours (the ssh of a wrapper, with
 * ControlPersist): they are closed a moment after its own end.
 */
async function answerOf<T extends { readonly timedOut: boolean }>(
  answer: Promise<T>,
  child: ChildProcess,
  deadline: number,
): Promise<T | undefined> {
  const begun = performance.now();
  const over = new AbortController();
  const letGo = (): void => {
    for (const pipe of child.stdio) pipe?.destroy();
  };
  let inTime = false;
  child.once("exit", () => {
    inTime = performance.now() - begun < deadline;
    void pauseFor(deadlines.batchCommandEnds, over.signal).then(letGo);
  });
  const stuck = pauseFor(deadline + 2 * deadlines.batchCommandEnds, over.signal).then(() => undefined);
  try {
    const ran = await Promise.race([answer, stuck]);
    if (ran === undefined) child.unref();
    return ran?.timedOut === true && !inTime ? undefined : ran;
  } finally {
    over.abort();
    letGo();
  }
}

/**
 * An environment without what the surrounding job and its launcher left in it: sbatch and qsub pass their environment
 * on, and the shape of this job (its tasks, memory, binding) must not become the shape of the next one. Nor is a job
 * that a script submits one of the processes that are killed at the script's end. Where Slurm's files are stays.
 */
export function outsideJob(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const foreign = [
    /^(?:SLURM_(?!CONF$|CLUSTERS$|JWT$)|SRUN_|HYD|FLUX_(?:TASK|JOB)_|TSDASK_(?:JOB|CONDOR_ID|SCRIPT_MARK)$)/,
    ...launcherVariables,
  ];
  return Object.fromEntries(Object.entries(env).filter(([name]) => !foreign.some((pattern) => pattern.test(name))));
}
