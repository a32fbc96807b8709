import { execa } from "execa";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { launcherVariables } from "../launcher/known.ts";
import { refuseClosedFolder } from "../security/folder-trouble.ts";
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
      const ran = await execa(command, [...args], {
        env: { ...base, ...given.env },
        extendEnv: false,
        reject: false,
        timeout: deadline,
        forceKillAfterDelay: deadlines.batchCommandEnds,
        maxBuffer: 20_000_000,
        ...(given.input === undefined ? { stdin: "ignore" as const } : { input: given.input }),
        ...(given.cwd === undefined ? {} : { cwd: given.cwd }),
      });
      const notStarted = ran.code === "ENOENT" || ran.code === "EACCES";
      // The system says the same of a program and of the folder in which it should start.
      if (notStarted && given.cwd !== undefined) refuseClosedFolder(given.cwd);
      if (notStarted) throw new Failure("TSD-091", { command }, { cause: ran.cause });
      const seconds = Math.round(deadline / 1000);
      const cure = `Try \`${command}\` by hand, and this again when it answers.`;
      if (ran.timedOut) throw new Failure("TSD-092", { command, seconds, cure });
      return { code: ran.exitCode ?? 128, stdout: ran.stdout ?? "", stderr: ran.stderr ?? "" };
    },
  };
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
