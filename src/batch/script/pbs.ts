import { bashScript, clock, given, launched, mebibytes, unbound, type Rendered, type ScriptWish } from "./wish.ts";

/** A script for the `qsub` of PBS Professional and OpenPBS: the PBS User's Guide, "Submitting a PBS Job". */
export function pbsScript(wish: ScriptWish): Rendered {
  const { nodes, ranksPerNode, threads } = wish;
  const chunk = [
    `${nodes}:ncpus=${ranksPerNode * threads}:mpiprocs=${ranksPerNode}:ompthreads=${threads}`,
    given(wish.memory, (bytes) => `mem=${mebibytes(bytes)}mb`),
    given(wish.gpus, (n) => `ngpus=${n}`),
  ].filter((part) => part !== undefined);
  const directives = [
    `-N ${wish.name.slice(0, 15)}`,
    `-l select=${chunk.join(":")}`,
    nodes > 1 ? "-l place=scatter" : undefined,
    given(wish.time, (seconds) => `-l walltime=${clock(seconds)}`),
    given(wish.queue, (name) => `-q ${name}`),
    given(wish.account, (name) => `-A ${name}`),
    given(wish.array, (n) => `-J 1-${n}`),
    "-j oe",
    given(wish.output, (file) => `-o ${file}`),
    ...wish.directives,
  ];
  return {
    text: bashScript({
      directives: directives.map((line) => given(line, (text) => `#PBS ${text}`)),
      wish,
      before: ['cd "$PBS_O_WORKDIR" || exit 1', unbound],
      launch: `${wish.launcher ?? "mpirun"} -np "$(wc -l < "$PBS_NODEFILE")" -machinefile "$PBS_NODEFILE" ${launched(wish)}`,
    }),
    notes: [],
  };
}
