import { join } from "node:path";
import { command, projectRoot, tsdaskMpi, type Command } from "../../test/integration/bed/command.ts";
import { launcher, type BedLauncher } from "../../test/integration/bed/launchers.ts";
import { stopSlurm } from "../../test/integration/bed/slurm.ts";
import type { BenchPython } from "./python.ts";

/** What a peer needs to know for one start. */
export interface Place {
  readonly ranks: number;
  readonly python: BenchPython;
  readonly schedulerFile: string;
}

/** One way to start a Dask cluster on a number of ranks. */
export interface Peer {
  readonly name: string;
  readonly title: string;
  /** Commands that together make a cluster of a scheduler and `ranks - 1` workers, started at the same moment. */
  readonly cluster: (place: Place) => readonly Command[];
  /** One command that makes a scheduler, a client and `ranks - 2` workers and runs bench/script.py; absent where there is no such thing. */
  readonly script?: (place: Place) => Command;
  /** Makes ready what it runs on. */
  readonly prepare?: () => Promise<void>;
  readonly release?: () => Promise<void>;
}

const bench = join(projectRoot, "bench");
const scriptFile = join(bench, "script.py");

/** All peers, in the order of the table. */
export const peers: readonly Peer[] = [
  daskMpi("dask-mpi", "dask-mpi as it comes (Nanny)", "distributed.Nanny"),
  daskMpi("dask-mpi-worker", "dask-mpi, distributed.Worker", "distributed.Worker"),
  {
    name: "by-hand",
    title: "dask scheduler + N dask worker",
    cluster: ({ ranks, python, schedulerFile }) => [
      command(
        python.path,
        "-m",
        "dask",
        "scheduler",
        "--port",
        "0",
        "--dashboard-address",
        ":0",
        "--scheduler-file",
        schedulerFile,
      ),
      ...Array.from({ length: ranks - 1 }, () =>
        command(python.path, "-m", "dask", "worker", "--scheduler-file", schedulerFile),
      ),
    ],
  },
  {
    name: "slurm-runner",
    title: "SLURMRunner under srun",
    cluster: ({ ranks, python, schedulerFile }) => [
      withPeers(python, srun().command(ranks, [python.path, join(bench, "slurm-cluster.py"), schedulerFile])),
    ],
    script: ({ ranks, python, schedulerFile }) =>
      withPeers(python, srun().command(ranks, [python.path, scriptFile, "slurm", String(ranks - 2), schedulerFile])),
    prepare: async () => srun().ready(),
    release: stopSlurm,
  },
  ours("ours-exec", "tsdask-mpi --spawn exec", "openmpi4", ["--spawn", "exec"]),
  ours("ours", "tsdask-mpi", "openmpi4", []),
  ours("ours-plain", "tsdask-mpi --security none", "openmpi4", ["--security", "none"]),
  ours("ours-mpich", "tsdask-mpi under MPICH", "mpich4", []),
  {
    ...ours("ours-srun", "tsdask-mpi under srun", "srun-pmi2", []),
    prepare: async () => srun().ready(),
    release: stopSlurm,
  },
  {
    name: "floor",
    title: "the floor: import once, fork",
    cluster: ({ ranks, python, schedulerFile }) => [
      command(python.path, join(bench, "floor.py"), String(ranks - 1), schedulerFile),
    ],
  },
];

function daskMpi(name: string, title: string, workerClass: string): Peer {
  return {
    name,
    title,
    cluster: ({ ranks, python, schedulerFile }) => [
      withPeers(
        python,
        mpirun().command(ranks, [
          python.path,
          "-m",
          "dask_mpi.cli",
          "--scheduler-file",
          schedulerFile,
          "--worker-class",
          workerClass,
        ]),
      ),
    ],
    script: ({ ranks, python, schedulerFile }) =>
      withPeers(
        python,
        mpirun().command(ranks, [python.path, scriptFile, workerClass, String(ranks - 2), schedulerFile]),
      ),
  };
}

/** tsdask-mpi as another checkout of it has it, built there already. */
export function oursOf(checkout: string): Peer {
  return ours("ours-before", "tsdask-mpi before", "openmpi4", [], join(checkout, "bin", "tsdask-mpi"));
}

function ours(
  name: string,
  title: string,
  under: BedLauncher,
  words: readonly string[],
  program: string = tsdaskMpi,
): Peer {
  const start = ({ ranks, python, schedulerFile }: Place, ...script: readonly string[]): Command =>
    launcher(under).command(ranks, [
      program,
      "--python",
      python.path,
      "--scheduler-file",
      schedulerFile,
      ...words,
      ...script,
    ]);
  return {
    name,
    title,
    cluster: (place) => [start(place)],
    script: (place) => start(place, scriptFile, "client", String(place.ranks - 2), place.schedulerFile),
  };
}

const mpirun = (): ReturnType<typeof launcher> => launcher("openmpi4");
const srun = (): ReturnType<typeof launcher> => launcher("srun-pmi2");

/** mpi4py's wheel looks for the library of MPICH; under Debian's Open MPI it has to be told that it is the other one. */
function withPeers(python: BenchPython, { file, args, env }: Command): Command {
  return { file, args, env: { MPI4PY_MPIABI: "openmpi", ...env, PYTHONPATH: python.peers } };
}
