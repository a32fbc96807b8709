import { Failure } from "../errors/failure.ts";

/**
 * TSD-001 for a process without a launcher's variables; `starter` is the launcher that started it all the same, `words`
 * are the script and its own words. Undefined for a process that leaves saying so to another.
 */
export function noLauncher(
  starter: { readonly name: string; readonly first: boolean } | undefined,
  words: readonly string[] = [],
): Failure | undefined {
  const late = starter === undefined ? numberBehind(words) : undefined;
  if (late !== undefined)
    return new Failure("TSD-001", {
      problem: "this process was not started by mpirun, srun or the like",
      cause: `\`${late.said}\` stands after ${late.script}, so it is the script's own.`,
      cure: `Say it before the script: \`tsdask-mpi --np ${late.ranks} ${late.script}\`.`,
    });
  if (starter === undefined)
    return new Failure("TSD-001", {
      problem: "this process was not started by mpirun, srun or the like",
      cause: "None of the launchers' rank variables is set, and --np was not given.",
      cure: "Start it with a launcher, `mpirun -np 4 tsdask-mpi script.py`, or let it start its own ranks on this machine, `tsdask-mpi --np 4 script.py`.",
    });
  if (!starter.first) return undefined;
  return new Failure("TSD-001", {
    problem: `${starter.name} started this process, but none of its rank variables has arrived here`,
    cause:
      "Something between the launcher and tsdask-mpi cleans the environment: `env -i`, sudo, a login shell (`bash -l`), a container (`apptainer exec --cleanenv`).",
    cure: "Leave that out, or let the variables through (`sudo -E`, no --cleanenv); `mpirun -np 1 … env | grep -E 'RANK|PMI'` behind the same wrapper must show them. TSDASK_RANK and TSDASK_SIZE can be set by hand.",
  });
}

/** A number of ranks, as mpirun and we write it, that stands after the script's name. */
function numberBehind([script = "", ...words]: readonly string[]):
  | { readonly said: string; readonly ranks: string; readonly script: string }
  | undefined {
  const at = words.findIndex((word) => /^(?:--np|-np|-n)(?:=\d+)?$/.test(word));
  const [flag = "", ranks = words[at + 1] ?? ""] = words[at]?.split("=") ?? [];
  if (at < 0 || !/^\d+$/.test(ranks)) return undefined;
  const said = words[at] === flag ? `${flag} ${ranks}` : `${flag}=${ranks}`;
  return { said, ranks, script };
}
