import {
  bashScript,
  clock,
  given,
  launched,
  mebibytes,
  unbound,
  passedOn,
  type Rendered,
  type JobSpec,
} from "./job-spec.ts";

/** A script for the `qsub` of PBS Professional and OpenPBS: the PBS User's Guide, "Submitting a PBS Job". */
export function pbsScript(spec: JobSpec): Rendered {
  const { nodes, ranksPerNode, threads } = spec;
  const chunk = [
    `${nodes}:ncpus=${ranksPerNode * threads}:mpiprocs=${ranksPerNode}:ompthreads=${threads}`,
    given(spec.memory, (bytes) => `mem=${mebibytes(bytes)}mb`),
    given(spec.gpus, (n) => `ngpus=${n}`),
  ].filter((part) => part !== undefined);
  const directives = [
    `-N ${spec.name.slice(0, 15)}`,
    `-l select=${chunk.join(":")}`,
    nodes > 1 ? "-l place=scatter" : undefined,
    given(spec.time, (seconds) => `-l walltime=${clock(seconds)}`),
    given(spec.queue, (name) => `-q ${name}`),
    given(spec.account, (name) => `-A ${name}`),
    // An array of one is a job: OpenPBS takes no range that ends where it begins.
    given(spec.array === 1 ? undefined : spec.array, (n) => `-J 1-${n}`),
    "-j oe",
    given(spec.output, (file) => `-o ${file}`),
    ...spec.directives,
  ];
  const passed = passedOn(spec.launcher ?? "mpirun", "PBS_JOBID");
  return {
    text: bashScript({
      directives: directives.map((line) => given(line, (text) => `#PBS ${text}`)),
      spec,
      before: ['cd "$PBS_O_WORKDIR" || exit 1', unbound, ...passed.before],
      launch: `${passed.launcher} -np "$(wc -l < "$PBS_NODEFILE")" -machinefile "$PBS_NODEFILE" ${launched(spec)}`,
    }),
    notes: [],
  };
}
