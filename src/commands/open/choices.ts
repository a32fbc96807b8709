import type { BatchName, Shell } from "../../batch/system.ts";
import { Failure } from "../../errors/failure.ts";

/** What lists the queues, and the caller's accounts; each line of the answer begins with one. */
const questions: Readonly<
  Partial<Record<BatchName, readonly (readonly [command: string, args: readonly string[], skip: number])[]>>
> = {
  // sinfo(1): %R is the partition's bare name; %l its longest time.
  slurm: [
    ["sinfo", ["-h", "-o", "%R %l"], 0],
    ["sacctmgr", ["-nP", "show", "assoc", "user=", "format=account"], 0],
  ],
  // qstat(1B): two lines of heading.
  pbs: [["qstat", ["-Q"], 2]],
  sge: [["qconf", ["-sql"], 0]],
  lsf: [["bqueues", ["-w"], 1]],
};

/**
 * The queues (with the longest time, where it is known) and accounts that a batch system offers; empty where it does
 * not say.
 */
export async function choicesOf(system: BatchName, shell: Shell): Promise<readonly [string[], string[]]> {
  const user = shell.env["USER"] ?? shell.env["LOGNAME"] ?? "";
  const [queues = [], accounts = []] = await Promise.all(
    (questions[system] ?? []).map(async ([command, args, skip]) => {
      try {
        const ran = await shell.run(
          command,
          args.map((word) => (word === "user=" ? `user=${user}` : word)),
        );
        return ran.code === 0 ? entries(ran.stdout, skip, system) : [];
      } catch (error) {
        // A choice is a help: what is typed is taken all the same.
        if (error instanceof Failure) return [];
        throw error;
      }
    }),
  );
  return [queues, accounts];
}

function entries(stdout: string, skip: number, system: BatchName): string[] {
  const lines = stdout.split("\n").slice(skip);
  const found = lines.flatMap((line) => {
    const [name, time] = line.trim().split(/\s+/);
    if (name === undefined || !/^[\w][\w.@-]*$/.test(name)) return [];
    return [system === "slurm" && time !== undefined ? `${name} (at most ${time})` : name];
  });
  return [...new Set(found)];
}
