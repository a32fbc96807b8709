import { bashScript, given, launched, ranksOf, type Rendered, type JobSpec } from "./job-spec.ts";

/** A script for `flux batch`, with the directives of Flux's RFC 36: flux-batch(1), flux-run(1). */
export function fluxScript(spec: JobSpec): Rendered {
  const { nodes, ranksPerNode, threads } = spec;
  const perRank = spec.gpus === undefined ? undefined : Math.floor(spec.gpus / ranksPerNode);
  const gpus = perRank === undefined || perRank === 0 ? undefined : perRank;
  const directives = [
    `--job-name=${spec.name}`,
    `--nodes=${nodes} --nslots=${ranksOf(spec)} --cores-per-slot=${threads}${gpus === undefined ? "" : ` --gpus-per-slot=${gpus}`}`,
    given(spec.time, (seconds) => `--time-limit=${Math.ceil(seconds)}s`),
    given(spec.queue, (name) => `--queue=${name}`),
    given(spec.account, (name) => `--bank=${name}`),
    `--output=${spec.output ?? `${spec.name}-{{id}}.out`}`,
    ...spec.directives,
  ];
  const launcher = spec.launcher ?? "flux run";
  const shape = `-N ${nodes} -n ${ranksOf(spec)} -c ${threads}${gpus === undefined ? "" : ` -g ${gpus}`}`;
  return {
    text: bashScript({
      directives: directives.map((line) => given(line, (text) => `# flux: ${text}`)),
      spec,
      launch:
        launcher === "flux run"
          ? `flux run ${shape} ${launched(spec)}`
          : `${launcher} -np ${ranksOf(spec)} ${launched(spec)}`,
    }),
    notes: [
      ...(spec.memory === undefined
        ? []
        : ["Flux does not schedule memory: --memory is left out; --memory-limit bounds the workers."]),
      ...(spec.array === undefined
        ? []
        : [`Flux has no array directive: submit with \`flux bulksubmit\`, or ${spec.array} times.`]),
      ...(spec.gpus !== undefined && gpus === undefined
        ? [`Flux gives GPUs to ranks: ${spec.gpus} GPU(s) cannot be shared among ${ranksPerNode} ranks.`]
        : []),
    ],
  };
}
