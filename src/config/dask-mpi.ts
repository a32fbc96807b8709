import { Failure } from "../errors/failure.ts";
import { lacksScheme, readAddress } from "./address.ts";
import type { Grammar } from "./grammar.ts";
import type { OptionKey, Options, Source } from "./options.ts";
import { homeOf, type ReadInput, type ReadResult } from "./read.ts";
import { resolveValues } from "./resolve.ts";
import { readLine } from "./scan.ts";
import { table, type OptionSpec, type Table, type Values } from "./table.ts";
import { show } from "./values.ts";

const change = <K extends OptionKey>(key: K, changes: Partial<OptionSpec<Values[K]>>): Table[K] =>
  ({ ...table[key], ...changes }) as Table[K];

/**
 * The options with dask-mpi's own defaults (dask_mpi/cli.py): its Nanny around every worker, its name, an open cluster,
 * and no scheduler file unless one is named.
 */
export const daskMpiTable: Table = {
  ...table,
  schedulerFile: change("schedulerFile", {
    initial: undefined,
    otherwise: "none",
    help: "where to write how to reach the cluster (with --no-scheduler: where to read it)",
  }),
  workerClass: change("workerClass", { initial: "distributed.Nanny" }),
  nanny: change("nanny", { initial: true, help: "--no-nanny: the same as --worker-class distributed.Worker" }),
  exclusiveWorkers: change("exclusiveWorkers", {
    help: "no worker on the scheduler's rank; --inclusive-workers: one there, too",
  }),
  name: change("name", { initial: "dask_mpi" }),
  security: change("security", { initial: "none" }),
  logLevel: change("logLevel", { initial: "info" }),
  ownClusters: change("ownClusters", { initial: "allow" }),
};

/** What dask-mpi's command line has, in its order. */
export const DASK_MPI_OPTIONS = [
  "schedulerFile",
  "schedulerPort",
  "schedulerRank",
  "interface",
  "protocol",
  "nthreads",
  "memoryLimit",
  "localDirectory",
  "scheduler",
  "nanny",
  "exclusiveWorkers",
  "workerClass",
  "workerOptions",
  "dashboard",
  "dashboardAddress",
  "name",
] as const satisfies readonly OptionKey[];

/**
 * How a launch is run, as opposed to what it is: what dask-mpi has no option for may still come from TSDASK_ variables.
 */
const FROM_ENVIRONMENT = [
  "np",
  "python",
  "startTimeout",
  "spawn",
  "warm",
  "rendezvous",
  "launchId",
  "grace",
  "restarts",
  "schedulerRestarts",
  "expectedWorkers",
  "logLevel",
  "logDir",
  "jsonSummary",
  "report",
  "quiet",
] as const satisfies readonly OptionKey[];

export const DASK_MPI_GRAMMAR: Grammar = {
  program: "dask-mpi",
  specs: Object.fromEntries(DASK_MPI_OPTIONS.map((key) => [key, { ...daskMpiTable[key], group: "Options" }])),
  interspersed: true,
  version: false,
};

/**
 * The options of the `dask-mpi` drop-in, from dask-mpi's own command line; no configuration files. Like dask-mpi, it
 * ignores what has no effect. Unlike it, --no-nanny works (there, every worker raises DeprecationWarning), and an
 * address means --no-scheduler (there, the scheduler would idle). Throws Failure TSD-003, TSD-006 to TSD-008.
 */
export async function readDaskMpiOptions(input: ReadInput): Promise<ReadResult> {
  const line = await readLine(input.argv, DASK_MPI_GRAMMAR);
  const [word, unexpected] = line.words;
  if (unexpected !== undefined) {
    throw new Failure("TSD-006", {
      program: "dask-mpi",
      problem: `${show(unexpected)} is one word too many`,
      suggestion: "It takes one address at most, and runs no script: `tsdask-mpi script.py` does. ",
    });
  }
  const { env, cwd } = input;
  const resolved = resolveValues({
    specs: daskMpiTable,
    line,
    files: [],
    env,
    cwd,
    home: homeOf(input),
    fromEnvironment: FROM_ENVIRONMENT,
  });
  const { tlsCaFile: _ca, tlsCert: _cert, tlsKey: _key, ...values } = resolved.values;
  const address = word === undefined ? undefined : readAddress(lacksScheme(word) ? `tcp://${word}` : word);
  const workerClass = values.nanny ? values.workerClass : "distributed.Worker";
  const options: Options = {
    ...values,
    program: "dask-mpi",
    script: undefined,
    schedulerAddress: address,
    scheduler: values.scheduler && address === undefined,
    workerClass,
    nanny: workerClass.endsWith("Nanny"),
    protocol: values.protocol ?? address?.split("://")[0],
    tls: undefined,
  };
  const derived = (from: string): Source => ({ kind: "derived", from });
  const sources = {
    ...resolved.sources,
    ...(address === undefined ? {} : { scheduler: derived("the scheduler's address") }),
    ...(values.nanny ? {} : { workerClass: derived("--no-nanny") }),
  };
  return { options, sources, warnings: [], unset: {}, command: { kind: line.asks ?? "launch" } };
}
