import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { localWorkerScript, renderScript, scriptSystems } from "../../src/batch/script/render.ts";
import type { JobSpec } from "../../src/batch/script/job-spec.ts";
import { workersOfScript } from "../../src/batch/script-workers.ts";
import type { BatchName } from "../../src/batch/system.ts";

describe("the workers that a script brings", () => {
  it.each<readonly [BatchName, string, number | undefined]>([
    ["slurm", "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=4\n", 8],
    ["slurm", "#SBATCH --ntasks-per-node 4\n", 4],
    ["slurm", "#SBATCH -n 6\n", 6],
    ["slurm", "#SBATCH -N 2 -n8 # eight of them\n", 8],
    ["slurm", "#SBATCH -p x -N 2\n#SBATCH --ntasks-per-node=4\n", 8],
    ["slurm", "#SBATCH --ntasks=16\n#SBATCH --ntasks-per-node=8\n", 16],
    ["slurm", "#SBATCH --array=1-10\n#SBATCH --ntasks=4\n", 40],
    ["slurm", "#SBATCH -a 0-15:4,20%3 --ntasks=4\n", 12],
    ["slurm", "#SBATCH --comment='-n 3' -n 4\n", 4],
    ["slurm", "#SBATCH -n 4\n# That was all.\n\ncd /tmp\n#SBATCH -n 8\n", 4],
    ["slurm", "##SBATCH -n 4\n#SBATCH --nodes=2\nsrun tsdask-mpi --no-scheduler\n", undefined],
    ["slurm", "#SBATCH --nodes=2-4 --ntasks-per-node=4\n", undefined],
    ["slurm", "#SBATCH -n 4\n#SBATCH hetjob\n#SBATCH -n 8\n", undefined],
    ["slurm", "#SBATCH -n 1 -c 8\nexec tsdask-mpi --np 8 --no-scheduler\n", 8],
    ["slurm", '#SBATCH -n 4\nmpirun -np 1 hostname\nmpirun -np "$SLURM_NTASKS" tsdask-mpi\n', 4],
    ["slurm", "#BSUB -n 12\n", undefined],
    ["pbs", "#PBS -l select=2:ncpus=8:mpiprocs=4:mem=1gb\n#PBS -l walltime=1:0:0\n", 8],
    ["pbs", "#PBS -q x -l walltime=1:0:0,select=1:ncpus=4:mpiprocs=4+2:ncpus=8:mpiprocs=8\n", 20],
    ["pbs", "#PBS -J 1-10\n#PBS -l select=1:mpiprocs=4\n", 40],
    ["pbs", "#!/bin/sh\r\n#PBS -q x\r\n#PBS -l select=2:mpiprocs=4\r\n", 8],
    ["pbs", "#PBS -l nodes=2:ppn=8,walltime=1:0:0\n", 16],
    ["pbs", "#PBS -lnodes=node7:ppn=4+2:ppn=8:gpus=1 -t 1-10%2\n", 40],
    ["pbs", "#PBS -l walltime=1:0:0\n", undefined],
    ["sge", "#$ -cwd -pe mpi 8\n", 8],
    ["sge", "#$ -pe mpi 4\n#$ -t 1-10 -tc 3\n", 12],
    ["sge", "#$ -pe mpi 4-8\n", undefined],
    ["sge", "#$ -cwd\n", undefined],
    ["lsf", "#BSUB -n 12\n", 12],
    ["lsf", "#BSUB -q x -n 8 -notify exit\n", 8],
    ["lsf", '#BSUB -J "workers[1-10]%4"\n#BSUB -n 8\n', 32],
    ["lsf", "#BSUB -n 4,8\n", undefined],
    ["lsf", "#BSUB -nnodes 2\n", undefined],
    ["flux", "# flux: --nodes=2 --nslots=8 --cores-per-slot=2\n", 8],
    ["flux", "#flux: -N2 -n8\n", 8],
    ["flux", "# flux: -N2\n", undefined],
    ["htcondor", "arguments = \"-lc 'exec tsdask-mpi --np 4 --no-scheduler'\"\nqueue 3\n", 12],
    ["htcondor", "arguments = \"-lc 'exec tsdask-mpi --np 4 --no-scheduler'\"\nQueue\n", 4],
    ["htcondor", "arguments = \"-lc 'exec tsdask-mpi --np 4'\"\nqueue 3 in (a b)\n", undefined],
    ["htcondor", "executable = workers.sh\nqueue 3\n", undefined],
    ["kubernetes", "args: [/bin/bash, -c, exec mpirun -np 8 tsdask-mpi --no-scheduler]\n", 8],
    ["local", "exec tsdask-mpi --np 3 --no-scheduler\n", 3],
    ["local", "mpirun -np 3 \\\n  tsdask-mpi --no-scheduler # --np 4\n", 3],
    ["local", "tsdask-mpi --np 2 --no-scheduler &\ntsdask-mpi --np 4 --no-scheduler\n", undefined],
    ["local", "#SBATCH -n 4\nmpirun tsdask-mpi\n", undefined],
  ])("under %s: %j", (system, text, workers) => {
    expect(workersOfScript(system, text)).toBe(workers);
  });

  const spec: JobSpec = {
    ...{ name: "workers", nodes: 2, ranksPerNode: 4, threads: 2, array: 3 },
    ...{ modules: [], setup: ["echo it's here"], variables: {}, directives: [] },
    ...{ command: "/opt/bin/tsdask-mpi", words: ["--start-timeout", "2m"], join: { schedulerFile: "s.json" } },
  };
  // Flux and Kubernetes have no arrays.
  it.each(scriptSystems)("are those that `tsdask-mpi script %s` was asked for", (system) => {
    const jobs = ["flux", "kubernetes"].includes(system) ? 1 : 3;
    expect(workersOfScript(system, renderScript(system, spec).text)).toBe(2 * 4 * jobs);
  });
  it("are those of a script for this machine", () => {
    const script = localWorkerScript({ command: "tsdask-mpi", ranks: 3, words: [], schedulerFile: "s.json" });
    expect(workersOfScript("local", script)).toBe(3);
  });
  it.each(["slurm", "pbs"] as const)("are those of the template for %s", (system) => {
    const text = readFileSync(new URL(`../../scripts/${system}/workers.sh`, import.meta.url), "utf8");
    expect(workersOfScript(system, text)).toBe(4);
  });
});
