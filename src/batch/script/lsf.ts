import { bashScript, given, launched, mebibytes, ranksOf, unbound, type Rendered, type ScriptWish } from "./wish.ts";

/** A script for `bsub < script`: the bsub reference of IBM Spectrum LSF 10.1. */
export function lsfScript(wish: ScriptWish): Rendered {
  const { ranksPerNode, threads } = wish;
  const name = wish.array === undefined ? wish.name : `${wish.name}[1-${wish.array}]`;
  const directives = [
    `-J "${name}"`,
    `-n ${ranksOf(wish)}`,
    `-R "span[ptile=${ranksPerNode}]"`,
    threads === 1 ? undefined : `-R "affinity[core(${threads})]"`,
    given(wish.memory, (bytes) => `-R "rusage[mem=${mebibytes(bytes)}MB]"`),
    given(wish.gpus, (n) => `-gpu "num=${n}"`),
    given(wish.time, (seconds) => `-W ${hoursMinutes(seconds)}`),
    given(wish.queue, (queue) => `-q ${queue}`),
    given(wish.account, (account) => `-P ${account}`),
    `-o ${wish.output ?? (wish.array === undefined ? "%J.out" : "%J-%I.out")}`,
    ...wish.directives,
  ];
  const jsrun = wish.launcher === "jsrun";
  const shape = jsrun
    ? `jsrun -n ${ranksOf(wish)} -a 1 -c ${threads}${wish.gpus === undefined ? "" : ` -g ${Math.floor(wish.gpus / ranksPerNode)}`}`
    : (wish.launcher ?? "mpirun");
  return {
    text: bashScript({
      directives: directives.map((line) => given(line, (text) => `#BSUB ${text}`)),
      wish,
      before: jsrun ? [] : [unbound],
      launch: `${shape} ${launched(wish)}`,
    }),
    notes:
      wish.memory === undefined
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
