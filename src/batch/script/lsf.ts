import {
  bashScript,
  given,
  launched,
  mebibytes,
  ranksOf,
  unbound,
  passedOn,
  type Rendered,
  type JobSpec,
} from "./job-spec.ts";

/** A script for `bsub < script`: the bsub reference of IBM Spectrum LSF 10.1. */
export function lsfScript(spec: JobSpec): Rendered {
  const { ranksPerNode, threads } = spec;
  const name = spec.array === undefined ? spec.name : `${spec.name}[1-${spec.array}]`;
  const directives = [
    `-J "${name}"`,
    `-n ${ranksOf(spec)}`,
    `-R "span[ptile=${ranksPerNode}]"`,
    threads === 1 ? undefined : `-R "affinity[core(${threads})]"`,
    given(spec.memory, (bytes) => `-R "rusage[mem=${mebibytes(bytes)}MB]"`),
    given(spec.gpus, (n) => `-gpu "num=${n}"`),
    given(spec.time, (seconds) => `-W ${hoursMinutes(seconds)}`),
    given(spec.queue, (queue) => `-q ${queue}`),
    given(spec.account, (account) => `-P ${account}`),
    `-o ${spec.output ?? (spec.array === undefined ? "%J.out" : "%J-%I.out")}`,
    ...spec.directives,
  ];
  const jsrun = spec.launcher === "jsrun";
  const passed = passedOn(spec.launcher ?? "mpirun", "LSB_JOBID", "LSB_JOBINDEX");
  const shape = jsrun
    ? `jsrun -n ${ranksOf(spec)} -a 1 -c ${threads}${spec.gpus === undefined ? "" : ` -g ${Math.floor(spec.gpus / ranksPerNode)}`}`
    : passed.launcher;
  return {
    text: bashScript({
      directives: directives.map((line) => given(line, (text) => `#BSUB ${text}`)),
      spec,
      before: jsrun ? [] : [unbound, ...passed.before],
      launch: `${shape} ${launched(spec)}`,
    }),
    notes:
      spec.memory === undefined
        ? []
        : [
            "LSF: memory is reserved per host; where RESOURCE_RESERVE_PER_TASK is set it is per rank (`badmin showconf mbd | grep RESERVE`).",
          ],
  };
}

/** LSF counts limits in minutes. */
function hoursMinutes(seconds: number): string {
  const minutes = Math.ceil(seconds / 60);
  return `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
}
