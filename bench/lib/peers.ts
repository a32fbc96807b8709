import { join } from "node:path";
import { command, projectRoot, tsdaskMpi, type Command } from "../../test/integration/bed/command.ts";
import { launcher, type BedLauncher } from "../../test/integration/bed/launchers.ts";
import { stopSlurm } from "../../test/integration/bed/slurm.ts";
import { refuse } from "./options.ts";
import type { BenchPython } from "./python.ts";
import { progress } from "./report.ts";

/** What a peer needs to know for one start. */
export interface PeerRun {
  readonly ranks: number;
  readonly python: BenchPython;
  readonly schedulerFile: string;
}

/** One way to start a Dask cluster on a number of ranks. */
export interface Peer {
  readonly name: string;
  readonly title: string;
  /** Commands that together make a cluster of a scheduler and `ranks - 1` workers, started at the same moment. */
  readonly cluster: (run: PeerRun) => readonly Command[];
  /**
   * One command that makes a scheduler, a client and `ranks - 2` workers and runs bench/script.py; absent where there
   * is no such thing.
   */
  readonly script?: (run: PeerRun) => Command;
  /** Makes ready what it runs on; rejects when this machine lacks it. */
  readonly prepare: () => Promise<void>;
  readonly release?: () => Promise<void>;
}

const bench = join(projectRoot, "bench");
const scriptFile = join(bench, "script.py");

/** The peers of a list of names with commas between them. Ends with 64 for a name that is none's. */
export function peersNamed(names: string): Peer[] {
  return names.split(",").map((name) => {
    const found = peers.find((peer) => peer.name === name);
    if (found === undefined)
      refuse(`There is no peer ${name}; there are ${peers.map((peer) => peer.name).join(", ")}.`);
    return found;
  });
}

/**
 * Makes the peers ready that this machine can run; of each of the others, says in a line what is missing. Ends with 64
 * when none is left.
 */
export async function prepared(chosen: readonly Peer[]): Promise<Peer[]> {
  const ready: Peer[] = [];
  for (const peer of chosen) {
    try {
      await peer.prepare();
      ready.push(peer);
    } catch (error) {
      await peer.release?.();
      progress(`${peer.name} is left out: ${(error as Error).message}`);
    }
  }
  if (ready.length === 0) refuse("Nothing is left to measure.");
  return ready;
}

/** All peers, in the order of the table. */
const peers: readonly Peer[] = [
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
    prepare: async () => undefined,
  },
  {
    name: "slurm-runner",
    title: "SLURMRunner under srun",
    cluster: ({ ranks, python, schedulerFile }) => [
      withPeers(python, srun().command(ranks, [python.path, join(bench, "slurm-cluster.py"), schedulerFile])),
    ],
    script: ({ ranks, python, schedulerFile }) =>
      withPeers(python, srun().command(ranks, [python.path, scriptFile, "slurm", String(ranks - 2), schedulerFile])),
    prepare: () => readyFor("srun-pmi2"),
    release: stopSlurm,
  },
  ours("ours-exec", "tsdask-mpi --spawn exec", "openmpi4", ["--spawn", "exec"]),
  ours("ours", "tsdask-mpi", "openmpi4", []),
  ours("ours-plain", "tsdask-mpi --security none", "openmpi4", ["--security", "none"]),
  ours("ours-mpich", "tsdask-mpi under MPICH", "mpich4", []),
  {
    ...ours("ours-srun", "tsdask-mpi under srun", "srun-pmi2", []),
    release: stopSlurm,
  },
  {
    name: "floor",
    title: "the floor: import once, fork",
    cluster: ({ ranks, python, schedulerFile }) => [
      command(python.path, join(bench, "floor.py"), String(ranks - 1), schedulerFile),
    ],
    prepare: async () => undefined,
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
    prepare: () => readyFor("openmpi4"),
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
  const start = ({ ranks, python, schedulerFile }: PeerRun, ...script: readonly string[]): Command =>
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
    cluster: (run) => [start(run)],
    script: (run) => start(run, scriptFile, "client", String(run.ranks - 2), run.schedulerFile),
    prepare: () => readyFor(under),
  };
}

const mpirun = (): ReturnType<typeof launcher> => launcher("openmpi4");
const srun = (): ReturnType<typeof launcher> => launcher("srun-pmi2");

async function readyFor(name: BedLauncher): Promise<void> {
  await launcher(name).ready();
}

/**
 * mpi4py's wheel looks for the library of MPICH; under Debian's Open MPI it has to be told that it is the other one.
 */
function withPeers(python: BenchPython, { file, args, env }: Command): Command {
  return { file, args, env: { MPI4PY_MPIABI: "openmpi", ...env, PYTHONPATH: python.peers } };
}
