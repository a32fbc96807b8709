import { bashScript, clock, given, launched, mebibytes, unbound, type Rendered, type ScriptWish } from "./wish.ts";

/** A script for `sbatch`: https://slurm.schedmd.com/sbatch.html. */
export function slurmScript(wish: ScriptWish): Rendered {
  const launcher = wish.launcher ?? "srun";
  const directives = [
    `--job-name=${wish.name}`,
    `--nodes=${wish.nodes}`,
    `--ntasks-per-node=${wish.ranksPerNode}`,
    `--cpus-per-task=${wish.threads}`,
    given(wish.memory, (bytes) => `--mem=${mebibytes(bytes)}M`),
    given(wish.gpus, (n) => `--gres=gpu:${n}`),
    given(wish.time, (seconds) => `--time=${clock(seconds)}`),
    given(wish.queue, (name) => `--partition=${name}`),
    given(wish.account, (name) => `--account=${name}`),
    given(wish.array, (n) => `--array=1-${n}`),
    `--output=${wish.output ?? (wish.array === undefined ? "%x-%j.out" : "%x-%A_%a.out")}`,
    ...wish.directives,
  ];
  const isSrun = /(^|\/)srun\b/.test(launcher);
  return {
    text: bashScript({
      directives: directives.map((line) => given(line, (text) => `#SBATCH ${text}`)),
      wish,
      // From Slurm 22.05 on, srun does not take the job's --cpus-per-task over by itself.
      before: [isSrun ? 'export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"' : unbound],
      launch: isSrun ? `${launcher} ${launched(wish)}` : `${launcher} -np "$SLURM_NTASKS" ${launched(wish)}`,
    }),
    notes: [],
  };
}
