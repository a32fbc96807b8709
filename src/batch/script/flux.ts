import { bashScript, given, launched, ranksOf, type Rendered, type ScriptWish } from "./wish.ts";

/** A script for `flux batch`, with the directives of Flux's RFC 36: flux-batch(1), flux-run(1). */
export function fluxScript(wish: ScriptWish): Rendered {
  const { nodes, ranksPerNode, threads } = wish;
  const perRank = wish.gpus === undefined ? undefined : Math.floor(wish.gpus / ranksPerNode);
  const gpus = perRank === undefined || perRank === 0 ? undefined : perRank;
  const directives = [
    `--job-name=${wish.name}`,
    `--nodes=${nodes} --nslots=${ranksOf(wish)} --cores-per-slot=${threads}${gpus === undefined ? "" : ` --gpus-per-slot=${gpus}`}`,
    given(wish.time, (seconds) => `--time-limit=${Math.ceil(seconds)}s`),
    given(wish.queue, (name) => `--queue=${name}`),
    given(wish.account, (name) => `--bank=${name}`),
    `--output=${wish.output ?? `${wish.name}-{{id}}.out`}`,
    ...wish.directives,
  ];
  const launcher = wish.launcher ?? "flux run";
  const shape = `-N ${nodes} -n ${ranksOf(wish)} -c ${threads}${gpus === undefined ? "" : ` -g ${gpus}`}`;
  return {
    text: bashScript({
      directives: directives.map((line) => given(line, (text) => `# flux: ${text}`)),
      wish,
      launch:
        launcher === "flux run"
          ? `flux run ${shape} ${launched(wish)}`
          : `${launcher} -np ${ranksOf(wish)} ${launched(wish)}`,
    }),
    notes: [
      ...(wish.memory === undefined
        ? []
        : ["Flux does not schedule memory: --memory is left out; --memory-limit bounds the workers."]),
      ...(wish.array === undefined
        ? []
        : [`Flux has no array directive: submit with \`flux bulksubmit\`, or ${wish.array} times.`]),
      ...(wish.gpus !== undefined && gpus === undefined
        ? [`Flux gives GPUs to ranks: ${wish.gpus} GPU(s) cannot be shared among ${ranksPerNode} ranks.`]
        : []),
    ],
  };
}
