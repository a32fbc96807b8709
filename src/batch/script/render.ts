import { checkSpec } from "./check.ts";
import { fluxScript } from "./flux.ts";
import { htcondorScript } from "./htcondor.ts";
import { kubernetesScript } from "./kubernetes.ts";
import { lsfScript } from "./lsf.ts";
import { pbsScript } from "./pbs.ts";
import { sgeScript } from "./sge.ts";
import { slurmScript } from "./slurm.ts";
import { quoted, type Rendered, type ScriptSystem, type JobSpec, type Template } from "./job-spec.ts";

const templates: Readonly<Record<ScriptSystem, Template>> = {
  slurm: slurmScript,
  pbs: pbsScript,
  sge: sgeScript,
  lsf: lsfScript,
  flux: fluxScript,
  htcondor: htcondorScript,
  kubernetes: kubernetesScript,
};

/** The batch systems that scripts can be written for. */
export const scriptSystems = Object.keys(templates) as readonly ScriptSystem[];

/**
 * The script of a spec for a batch system, and notes on what that system cannot express. Pure. Throws TSD-131 for text
 * that could become a line of its own.
 */
export function renderScript(system: ScriptSystem, spec: JobSpec): Rendered {
  checkSpec(spec);
  return templates[system](spec);
}

/** A shell script that starts workers on this machine, for where there is no batch system. */
export function localWorkerScript({
  command,
  ranks,
  words,
  schedulerFile,
}: {
  readonly command: string;
  readonly ranks: number;
  readonly words: readonly string[];
  readonly schedulerFile: string;
}): string {
  const line = ["exec", command, "--np", String(ranks), "--no-scheduler", "--scheduler-file", schedulerFile, ...words];
  return `#!/bin/bash\n${line.map(quoted).join(" ")}\n`;
}
