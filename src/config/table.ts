import { groupKeys, groups } from "./groups.ts";
import { kebab } from "./option-names.ts";
import type { OptionKey, Options } from "./options.ts";
import {
  choice,
  daskAddress,
  duration,
  flag,
  integer,
  list,
  listenPoint,
  sniDomain,
  memoryLimit,
  object,
  orWord,
  path,
  ports,
  preloads,
  program,
  resources,
  text,
  type Reader,
} from "./values.ts";

/** The value that each option has, wherever it was said. */
export type Values = {
  readonly [K in OptionKey]: K extends keyof Options ? Options[K] : string | undefined;
};

/**
 * One option: its command line, environment and YAML names follow from its key, its help is used by `--help` and
 * `docs/options.md`.
 */
export interface OptionSpec<T> {
  readonly group: string;
  /** What stands for the value in the help; absent: a yes/no option. */
  readonly value?: string;
  /** The flag that says "no" (or its own opposite). */
  readonly negative?: string;
  /** May be given several times. */
  readonly repeat?: true;
  readonly read: Reader<T>;
  readonly initial: T;
  /** The default in words, where `initial` does not show it. */
  readonly otherwise?: string;
  readonly help: string;
}

/** A specification for every option. */
export type Table = { readonly [K in OptionKey]: OptionSpec<Values[K]> };

const word = text("a name without blanks", /^[^\s\p{Cc}]+$/u);
const host = text("a host name or an IP address", /^(?:[\w.-]+|[0-9a-fA-F:.]+|\[[0-9a-fA-F:.]+\])$/);
const dotted = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;
const off = { none: undefined, never: undefined, off: undefined };
const auto = { auto: undefined };
const rank = integer(0, 9_999_999);
const port = integer(0, 65535);

/** Every option of `tsdask-mpi`, in the order of its help. */
export const table: Table = {
  np: {
    group: "Starting",
    value: "<n>",
    read: integer(1, 100_000),
    initial: undefined,
    help: "without a launcher: start this many ranks on this machine",
  },
  python: {
    group: "Starting",
    value: "<program>",
    read: program,
    initial: undefined,
    otherwise:
      "the active virtual or conda environment's, else that of the environment it was installed into by pip, else python3 of PATH",
    help: "the Python that has Dask",
  },
  schedulerFile: {
    group: "Starting",
    value: "<file>",
    read: path,
    initial: "scheduler.json",
    help: "where to write how to reach the cluster (with --no-scheduler: where to read it); {job_id} in the name is filled in",
  },
  clusterName: {
    group: "Starting",
    value: "<name>",
    read: text(
      "a letter, then letters, digits, dots, dashes and underscores (64 at most)",
      /^[A-Za-z](?!.*\.json$)[\w.-]{0,63}$/,
    ),
    initial: undefined,
    otherwise: "one that can be said aloud",
    help: "what `tsdask-mpi list`, `status`, `logs`, `stop` and the like call the cluster",
  },
  waitWorkers: {
    group: "Starting",
    value: "<n|all>",
    read: orWord({ all: "all" as const }, rank),
    initial: 0,
    help: "start the script only when this many workers are in",
  },
  startTimeout: {
    group: "Starting",
    value: "<time>",
    read: duration("positive"),
    initial: 300,
    otherwise: "5m",
    help: "give up when the cluster is not up by then (with --no-scheduler: how long to wait for it)",
  },
  spawn: {
    group: "Starting",
    value: "<how>",
    read: choice(["auto", "fork", "exec"]),
    initial: "auto",
    help: "fork the Dask processes from one Python per host that has imported Dask (fork), start one Python each (exec), or decide (auto)",
  },
  warm: {
    group: "Starting",
    value: "<modules>",
    repeat: true,
    read: list("the name of a Python module", dotted),
    initial: [],
    help: "modules to import once per host, before forking: numpy,pandas",
  },
  rendezvous: {
    group: "Starting",
    value: "<how>",
    read: choice(["auto", "pmi", "file"]),
    initial: "auto",
    help: "how hosts find each other: the launcher's PMI, a file in the shared folder, or whichever there is",
  },
  launchId: {
    group: "Starting",
    value: "<id>",
    read: text("letters, digits, dots, dashes and underscores (64 at most)", /^[A-Za-z0-9][\w.-]{0,63}$/),
    initial: undefined,
    otherwise: "from the launcher",
    help: "a name that all ranks of this launch, and no others, are given; needed only where the launcher has none",
  },
  ownClusters: {
    group: "Starting",
    value: "<how>",
    read: choice(["adopt", "warn", "allow"]),
    initial: undefined,
    otherwise: "adopt; warn for a command after --",
    help: "what a script gets that asks for a cluster (LocalCluster(), Client(n_workers=4), SLURMCluster(), dask_mpi.initialize()): this one (adopt), its own and a warning (warn), its own (allow)",
  },
  scriptScale: {
    group: "Starting",
    value: "<n>",
    read: integer(0, 1_000_000),
    initial: 0,
    otherwise: "0: the launch stays as large as it is",
    help: "how many workers the script's cluster.scale() and cluster.adapt() may reach with worker jobs, submitted as tsdask-mpi scale does",
  },
  grace: {
    group: "Starting",
    value: "<time>",
    read: duration(0),
    initial: 10,
    otherwise: "10s",
    help: "how long the script and the workers get to end in order",
  },

  scheduler: {
    group: "Roles",
    negative: "no-scheduler",
    read: flag,
    initial: true,
    help: "start a scheduler; --no-scheduler: join the running cluster that --scheduler-file or the address names",
  },
  schedulerRank: { group: "Roles", value: "<rank>", read: rank, initial: 0, help: "the rank that runs the scheduler" },
  clientRank: {
    group: "Roles",
    value: "<rank>",
    read: rank,
    initial: undefined,
    otherwise: "the first that is not the scheduler's",
    help: "the rank that runs the script",
  },
  exclusiveWorkers: {
    group: "Roles",
    negative: "inclusive-workers",
    read: flag,
    initial: true,
    help: "no workers on the ranks of the scheduler and the script; --inclusive-workers: there, too",
  },

  nthreads: {
    group: "Workers",
    value: "<n>",
    read: orWord(auto, integer(1, 65536)),
    initial: undefined,
    otherwise: "its fair share of the host's cores",
    help: "threads per worker",
  },
  memoryLimit: {
    group: "Workers",
    value: "<size>",
    read: memoryLimit,
    initial: { kind: "auto" },
    otherwise: "auto: its fair share of the host's memory",
    help: "memory per worker: auto, 4GiB, a fraction of the host's (0.25), or 0 for no limit",
  },
  localDirectory: {
    group: "Workers",
    value: "<folder>",
    read: path,
    initial: undefined,
    otherwise: "a private temporary folder",
    help: "where workers put data that does not fit in memory; local disk if you can",
  },
  name: {
    group: "Workers",
    value: "<prefix>",
    read: word,
    initial: "tsdask",
    help: "workers are called <prefix>-<rank>",
  },
  resources: {
    group: "Workers",
    value: "<list>",
    repeat: true,
    read: resources,
    initial: {},
    help: 'resources of each worker that tasks may ask for: "GPU=2 MEM=10e9"',
  },
  group: {
    group: "Workers",
    value: "<group>",
    repeat: true,
    read: groups(() => Object.fromEntries(groupKeys.map((key) => [kebab(key), { key, read: table[key].read }]))),
    initial: [],
    otherwise: "all workers are alike",
    help: "workers that differ, by their ranks: gpu:ranks=4-11,resources=GPU=1,nthreads=1,memory-limit=8GiB (also local-directory, worker-class, lifetime); without ranks=, workers that scale and adapt bring",
  },
  expectedWorkers: {
    group: "Workers",
    value: "<n>",
    read: integer(0, 1_000_000),
    initial: 0,
    otherwise: "0: those of the launch itself",
    help: "how many workers the cluster will have with those that join later: Dask's time-outs and listen backlog are set for so many",
  },
  preload: {
    group: "Workers",
    value: "<module>",
    repeat: true,
    read: preloads,
    initial: [],
    help: 'module or .py file to load in the scheduler and each worker; with arguments: "mod --flag"',
  },
  workerClass: {
    group: "Workers",
    value: "<class>",
    read: text("a Python class with its module, like distributed.Worker", /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$/),
    initial: "distributed.Worker",
    help: "the class of the workers: distributed.Nanny, dask_cuda.CUDAWorker, one of yours",
  },
  workerOptions: {
    group: "Workers",
    value: "<json>",
    read: object,
    initial: {},
    help: "more arguments for that class, as a JSON object",
  },
  nanny: {
    group: "Workers",
    negative: "no-nanny",
    read: flag,
    initial: false,
    help: "put Dask's own Nanny around each worker (its plugins need it); without it, the rank itself restarts its worker",
  },
  preloadNanny: {
    group: "Workers",
    value: "<module>",
    repeat: true,
    read: preloads,
    initial: [],
    help: "module or .py file to load in each Nanny",
  },
  restarts: {
    group: "Workers",
    value: "<n>",
    read: integer(0),
    initial: 5,
    help: "how often a worker that died is started again",
  },
  deathTimeout: {
    group: "Workers",
    value: "<time>",
    read: orWord(off, duration("positive")),
    initial: undefined,
    otherwise: "Dask's own",
    help: "how long a worker waits for a scheduler that does not answer",
  },
  lifetime: {
    group: "Workers",
    value: "<time>",
    read: orWord(off, duration("positive")),
    initial: undefined,
    otherwise: "none",
    help: "workers retire after this time",
  },
  lifetimeStagger: {
    group: "Workers",
    value: "<time>",
    read: orWord(off, duration(0)),
    initial: undefined,
    otherwise: "0",
    help: "random part of the lifetime, so that they do not all go at once",
  },
  lifetimeRestart: {
    group: "Workers",
    negative: "no-lifetime-restart",
    read: flag,
    initial: false,
    help: "start a new worker in place of one whose lifetime is over",
  },
  workerPort: {
    group: "Workers",
    value: "<port[:last]>",
    read: ports,
    initial: undefined,
    otherwise: "any",
    help: "port of the workers; a range when a host has several",
  },
  workerDashboardAddress: {
    group: "Workers",
    value: "<address>",
    read: listenPoint,
    initial: undefined,
    otherwise: "any port",
    help: "where a worker's own dashboard listens",
  },
  listenAddress: {
    group: "Workers",
    value: "<address>",
    read: daskAddress("optional"),
    initial: undefined,
    help: "address that workers listen on, when it is not the one they are reached at: tcp://0.0.0.0:9000",
  },
  contactAddress: {
    group: "Workers",
    value: "<address>",
    read: daskAddress("optional"),
    initial: undefined,
    help: "address that workers tell others: tcp://10.0.0.5:9000",
  },

  schedulerPort: {
    group: "Scheduler and dashboard",
    value: "<port>",
    read: port,
    initial: 0,
    otherwise: "0: any",
    help: "port of the scheduler",
  },
  schedulerRestarts: {
    group: "Scheduler and dashboard",
    value: "<n>",
    read: integer(0),
    initial: 5,
    otherwise: "5; 0 with a script",
    help: "how often a scheduler that died is started again, at the same address; results and futures are lost with it",
  },
  schedulerOptions: {
    group: "Scheduler and dashboard",
    value: "<json>",
    read: object,
    initial: {},
    help: "more arguments for distributed.Scheduler, as a JSON object",
  },
  idleTimeout: {
    group: "Scheduler and dashboard",
    value: "<time>",
    read: orWord(off, duration("positive")),
    initial: undefined,
    otherwise: "none",
    help: "end the cluster after this long without work; with --jupyter, when no cell has run and no page was open for this long",
  },
  lifetimeCluster: {
    group: "Scheduler and dashboard",
    value: "<time>",
    read: orWord(off, duration("positive")),
    initial: undefined,
    otherwise: "none",
    help: "end the cluster in order when it has run this long",
  },
  dashboard: {
    group: "Scheduler and dashboard",
    negative: "no-dashboard",
    read: flag,
    initial: true,
    help: "serve Dask's dashboard",
  },
  dashboardAddress: {
    group: "Scheduler and dashboard",
    value: "<address>",
    read: listenPoint,
    initial: ":8787",
    help: "where the dashboard listens: :8787, host:8787; port 0 is any",
  },

  interface: {
    group: "Network",
    value: "<name>",
    read: word,
    initial: undefined,
    help: "network interface for all traffic: ib0, eth0",
  },
  host: {
    group: "Network",
    value: "<address>",
    read: host,
    initial: undefined,
    help: "address or host name that the scheduler's and workers' ports are opened on",
  },
  protocol: {
    group: "Network",
    value: "<name>",
    read: protocol,
    initial: undefined,
    otherwise: "tls, or tcp with --security none",
    help: "Dask's network protocol: tls, tcp, ucx, wss",
  },
  contact: {
    group: "Network",
    value: "<how>",
    read: choice(["address", "hostname"]),
    initial: "address",
    help: "name scheduler and workers to each other by IP address or by host name",
  },

  security: {
    group: "Security",
    value: "<kind>",
    read: choice(["tls", "none"]),
    initial: "tls",
    help: "tls: only holders of this launch's credentials get in; none: everyone on the network does, and can run code as you",
  },
  trustSharedFolder: {
    group: "Security",
    negative: "no-trust-shared-folder",
    read: flag,
    initial: false,
    help: "take scheduler.json also from a folder that your group may write in; a member could put another one there, and run code as you",
  },
  tlsCaFile: {
    group: "Security",
    value: "<file>",
    read: path,
    initial: undefined,
    otherwise: "made for each launch",
    help: "your site's certificate authority (PEM)",
  },
  tlsCert: {
    group: "Security",
    value: "<file>",
    read: path,
    initial: undefined,
    otherwise: "made for each launch",
    help: "your own certificate (PEM)",
  },
  tlsKey: {
    group: "Security",
    value: "<file>",
    read: path,
    initial: undefined,
    otherwise: "in the file of --tls-cert",
    help: "its private key (PEM)",
  },

  https: {
    group: "Security",
    value: "<when>",
    read: choice(["auto", "on", "off"]),
    initial: "auto",
    help: "on: dashboard and Jupyter over TLS, with the launch's certificate; auto: as Dask's and Jupyter's own configurations say, which is plain HTTP",
  },
  sniDomain: {
    group: "Security",
    value: "<domain[:port]>",
    read: sniDomain,
    initial: undefined,
    otherwise: "none",
    help: "a domain whose TLS proxy leads to each cluster by its name: af.example.org makes calm-otter.af.example.org, port 8786",
  },

  jupyter: {
    group: "Jupyter and tunnels",
    value: "<kind>",
    read: choice(["lab", "notebook", "server", "hub"]),
    initial: undefined,
    otherwise: "no",
    help: "run JupyterLab (lab), Notebook, a bare server, or the server of a JupyterHub (hub) in place of a script",
  },
  jupyterPort: {
    group: "Jupyter and tunnels",
    value: "<port>",
    read: orWord(auto, port),
    initial: undefined,
    otherwise: "8888, or a free one",
    help: "port of Jupyter",
  },
  afterNotebook: {
    group: "Jupyter and tunnels",
    value: "<time>",
    read: orWord(off, duration("positive")),
    initial: undefined,
    otherwise: "never",
    help: "with --jupyter: end the cluster when no kernel has run, and nobody has used the server, for this long",
  },
  jupyterPrefix: {
    group: "Jupyter and tunnels",
    value: "<path>",
    read: text("a path that begins and ends with a slash", /^\/(?:(?:[\w.~@%+-]|\{host\}|\{port\})+\/)*$/),
    initial: undefined,
    otherwise: "/, or what Jupyter's configuration says",
    help: "path of Jupyter where a proxy leads to it, with its {host} and {port}: '/node/{host}/{port}/'",
  },
  connectionFile: {
    group: "Jupyter and tunnels",
    value: "<file>",
    read: path,
    initial: undefined,
    otherwise: "none",
    help: "write host, port and password of Jupyter to this file (YAML, for you alone) when it is ready: Open OnDemand's connection.yml",
  },
  loginHost: {
    group: "Jupyter and tunnels",
    value: "<host>",
    read: text("a host, or user@host", /^(?:[\w.-]+@)?[A-Za-z0-9][\w.-]*$/),
    initial: undefined,
    otherwise: "where the job was submitted",
    help: "the host that your laptop reaches with ssh, for the tunnel lines",
  },
  tunnel: {
    group: "Jupyter and tunnels",
    value: "<kind>",
    read: choice(["direct", "jump", "reverse"]),
    initial: "direct",
    help: "direct: through the login host; jump: ssh -J to the compute node; reverse: the node connects out",
  },

  walltime: {
    group: "Batch jobs",
    value: "<time>",
    read: orWord(auto, duration("positive")),
    initial: undefined,
    otherwise: "asked of the batch system",
    help: "how long from now the job may run",
  },
  drain: {
    group: "Batch jobs",
    value: "<time>",
    read: orWord(auto, duration(0)),
    initial: undefined,
    otherwise: "scaled to the walltime",
    help: "how long before the end the workers hand over their results and go",
  },

  logLevel: {
    group: "Messages",
    value: "<level>",
    read: choice(["debug", "info", "warning", "error", "critical"], { warn: "warning", fatal: "critical" }),
    initial: "warning",
    help: "how much of Dask's log to show on stderr: debug, info, warning, error, critical",
  },
  logDir: {
    group: "Messages",
    value: "<folder>",
    read: path,
    initial: undefined,
    otherwise: "your state folder, for a week",
    help: "where the logs (JSON lines) go, to be kept; `tsdask-mpi logs` shows them",
  },
  prometheusTargets: {
    group: "Messages",
    value: "<folder>",
    read: path,
    initial: undefined,
    otherwise: "none",
    help: "keep a file of the cluster's /metrics there, for Prometheus's file_sd_configs; it holds the token",
  },
  jsonSummary: {
    group: "Messages",
    value: "<file>",
    read: path,
    initial: undefined,
    otherwise: "none",
    help: "write how the launch ended and what it used to this file, as JSON, for programs",
  },
  report: {
    group: "Messages",
    value: "<file>",
    read: orWord({ auto: "auto" }, path),
    initial: undefined,
    otherwise: "none; `tsdask-mpi report` makes one afterwards",
    help: "write what happened as a page with Dask's own report: a file, a folder, or auto (beside the log)",
  },
  quiet: {
    group: "Messages",
    negative: "no-quiet",
    read: flag,
    initial: false,
    help: "say nothing on stderr but warnings and errors",
  },
};

/** All keys, in the order of the help. */
export const optionKeys = Object.keys(table) as readonly OptionKey[];

function protocol(raw: Parameters<typeof word>[0], context: Parameters<typeof word>[1]): string {
  return text("a protocol's name, like tls or ucx", /^[a-z][a-z0-9+.-]*$/i)(raw, context).toLowerCase();
}
