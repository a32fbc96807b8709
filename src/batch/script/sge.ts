import {
  bashScript,
  clock,
  given,
  launched,
  mebibytes,
  ranksOf,
  passedOn,
  unbound,
  type Rendered,
  type JobSpec,
} from "./job-spec.ts";

/**
 * A script for Grid Engine's `qsub`: qsub(1), sge_pe(5). Slots are cores; how they spread over hosts is the parallel
 * environment's rule.
 */
export function sgeScript(spec: JobSpec): Rendered {
  const { threads } = spec;
  const slots = ranksOf(spec) * threads;
  const perSlot = given(spec.memory, (bytes) => `-l h_vmem=${mebibytes(bytes / (spec.ranksPerNode * threads))}M`);
  const directives = [
    `-N ${spec.name}`,
    "-cwd",
    "-S /bin/bash",
    `-pe ${spec.pe ?? "mpi"} ${slots}`,
    perSlot,
    given(spec.gpus, (n) => `-l gpu=${n}`),
    given(spec.time, (seconds) => `-l h_rt=${clock(seconds)}`),
    given(spec.queue, (name) => `-q ${name}`),
    given(spec.account, (name) => `-P ${name}`),
    given(spec.array, (n) => `-t 1-${n}`),
    "-j y",
    given(spec.output, (file) => `-o ${file}`),
    ...spec.directives,
  ];
  const passed = passedOn(spec.launcher ?? "mpirun", "JOB_ID", "SGE_O_HOST", "SGE_TASK_ID");
  return {
    text: bashScript({
      directives: directives.map((line) => given(line, (text) => `#$ ${text}`)),
      spec,
      before: [
        `# One line per rank: a host has a rank for every ${threads === 1 ? "slot" : `${threads} slots`} that it gives.`,
        `hosts=$(awk '{ for (i = 0; i < int($2 / ${threads}); i++) print $1 }' "$PE_HOSTFILE")`,
        unbound,
        ...passed.before,
      ],
      launch: `${passed.launcher} -np "$(wc -l <<< "$hosts")" -machinefile <(echo "$hosts") ${launched(spec)}`,
    }),
    notes: [
      ...(spec.pe === undefined
        ? ["Grid Engine: the parallel environment is taken to be `mpi`; `qconf -spl` lists those there are (--pe)."]
        : []),
      ...(spec.memory === undefined
        ? []
        : ["Grid Engine: memory is asked for as h_vmem per slot; some sites use another resource (`qconf -sc`)."]),
    ],
  };
}
