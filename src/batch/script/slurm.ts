import { bashScript, clock, given, launched, mebibytes, unbound, type Rendered, type JobSpec } from "./job-spec.ts";

/** A script for `sbatch`: https://slurm.schedmd.com/sbatch.html. */
export function slurmScript(spec: JobSpec): Rendered {
  const launcher = spec.launcher ?? "srun";
  const directives = [
    `--job-name=${spec.name}`,
    `--nodes=${spec.nodes}`,
    `--ntasks-per-node=${spec.ranksPerNode}`,
    `--cpus-per-task=${spec.threads}`,
    given(spec.memory, (bytes) => `--mem=${mebibytes(bytes)}M`),
    given(spec.gpus, (n) => `--gres=gpu:${n}`),
    given(spec.time, (seconds) => `--time=${clock(seconds)}`),
    given(spec.queue, (name) => `--partition=${name}`),
    given(spec.account, (name) => `--account=${name}`),
    given(spec.array, (n) => `--array=1-${n}`),
    `--output=${spec.output ?? (spec.array === undefined ? "%x-%j.out" : "%x-%A_%a.out")}`,
    ...spec.directives,
  ];
  const isSrun = /(^|\/)srun\b/.test(launcher);
  return {
    text: bashScript({
      directives: directives.map((line) => given(line, (text) => `#SBATCH ${text}`)),
      spec,
      // From Slurm 22.05 on, srun does not take the job's --cpus-per-task over by itself.
      before: [isSrun ? 'export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"' : unbound],
      launch: isSrun ? `${launcher} ${launched(spec)}` : `${launcher} -np "$SLURM_NTASKS" ${launched(spec)}`,
    }),
    notes: [],
  };
}
