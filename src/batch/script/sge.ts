import {
  bashScript,
  clock,
  given,
  launched,
  mebibytes,
  ranksOf,
  unbound,
  type Rendered,
  type ScriptWish,
} from "./wish.ts";

/** A script for Grid Engine's `qsub`: qsub(1), sge_pe(5). Slots are cores; how they spread over hosts is the parallel environment's rule. */
export function sgeScript(wish: ScriptWish): Rendered {
  const { threads } = wish;
  const slots = ranksOf(wish) * threads;
  const perSlot = given(wish.memory, (bytes) => `-l h_vmem=${mebibytes(bytes / (wish.ranksPerNode * threads))}M`);
  const directives = [
    `-N ${wish.name}`,
    "-cwd",
    "-S /bin/bash",
    `-pe ${wish.pe ?? "mpi"} ${slots}`,
    perSlot,
    given(wish.gpus, (n) => `-l gpu=${n}`),
    given(wish.time, (seconds) => `-l h_rt=${clock(seconds)}`),
    given(wish.queue, (name) => `-q ${name}`),
    given(wish.account, (name) => `-P ${name}`),
    given(wish.array, (n) => `-t 1-${n}`),
    "-j y",
    given(wish.output, (file) => `-o ${file}`),
    ...wish.directives,
  ];
  return {
    text: bashScript({
      directives: directives.map((line) => given(line, (text) => `#$ ${text}`)),
      wish,
      before: [
        `# One line per rank: a host has a rank for every ${threads === 1 ? "slot" : `${threads} slots`} that it gives.`,
        `hosts=$(awk '{ for (i = 0; i < int($2 / ${threads}); i++) print $1 }' "$PE_HOSTFILE")`,
        unbound,
      ],
      launch: `${wish.launcher ?? "mpirun"} -np "$(wc -l <<< "$hosts")" -machinefile <(echo "$hosts") ${launched(wish)}`,
    }),
    notes: [
      ...(wish.pe === undefined
        ? ["Grid Engine: the parallel environment is taken to be `mpi`; `qconf -spl` lists those there are (--pe)."]
        : []),
      ...(wish.memory === undefined
        ? []
        : ["Grid Engine: memory is asked for as h_vmem per slot; some sites use another resource (`qconf -sc`)."]),
    ],
  };
}
