/**
 * What every other part reads of the user's settings: one object, every value checked and normalised. Types only;
 * `readOptions` (read.ts) fills them.
 */

/** How much memory a worker may use: its fair share, no limit, a fraction of the host's memory (0 to 1), or bytes. */
export type MemoryLimit =
  | { readonly kind: "auto" }
  | { readonly kind: "none" }
  | { readonly kind: "fraction"; readonly fraction: number }
  | { readonly kind: "bytes"; readonly bytes: number };

/** Ports `first` to `last`, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/**
 * What the client's rank runs: `words[0]` is the file or the program, as the user wrote it; the rest are its arguments,
 * untouched.
 */
export interface Script {
  /** `stdin`: a Python script that comes on standard input, `-`. */
  readonly kind: "python" | "notebook" | "command" | "stdin";
  readonly words: readonly string[];
}

/** PEM files of a site's own certificates (absolute paths); `key` may be the same file as `cert`. */
export interface TlsFiles {
  readonly caFile: string;
  readonly cert: string;
  readonly key: string;
}

/** Workers of a launch that differ from the others. */
export interface WorkerGroup {
  readonly name: string;
  /** In order, each once. */
  readonly ranks: readonly number[];
  readonly options: Partial<GroupOptions>;
}

/** The options of workers that a group may have of its own. */
export type GroupOptions = Pick<
  Options,
  "resources" | "nthreads" | "memoryLimit" | "localDirectory" | "workerClass" | "lifetime"
>;

export type LogLevel = "debug" | "info" | "warning" | "error" | "critical";
/**
 * What a script gets that asks Dask for a cluster: the launch's own, one of its own and a warning, or one of its own.
 */
export type OwnClusters = "adopt" | "warn" | "allow";
export type JupyterKind = "lab" | "notebook" | "server" | "hub";

/**
 * All options of a launch. Durations are seconds, sizes are bytes, paths are absolute, `undefined` means "not said:
 * decide".
 */
export interface Options {
  /** The program whose command line was read: it names itself so in messages. */
  readonly program: "tsdask-mpi" | "dask-mpi";
  readonly script: Script | undefined;
  /** A running cluster to join, with its scheme (`tcp://…`, `tls://…`); `scheduler` is then false. */
  readonly schedulerAddress: string | undefined;

  /** Absolute; `{job_id}` in it is still to be filled in. `undefined` (dask-mpi only): write none. */
  readonly schedulerFile: string | undefined;
  readonly scheduler: boolean;
  readonly schedulerRank: number;
  /** `undefined`: the first rank that is not the scheduler's. */
  readonly clientRank: number | undefined;
  /** True: no workers on the ranks of the scheduler and the client. */
  readonly exclusiveWorkers: boolean;
  readonly np: number | undefined;
  /** Workers to wait for before the script starts; 0: none. */
  readonly waitWorkers: number | "all";
  readonly startTimeout: number;
  readonly rendezvous: "auto" | "pmi" | "file";
  readonly launchId: string | undefined;
  /** `undefined`: one is made. */
  readonly clusterName: string | undefined;

  /** `undefined`: adopt for scripts, notebooks and Jupyter, warn for other commands. */
  readonly ownClusters: OwnClusters | undefined;
  /** The most workers that a script may scale the cluster to; 0: it may not. */
  readonly scriptScale: number;

  readonly python: string | undefined;
  readonly spawn: "auto" | "fork" | "exec";
  /** Python modules that the fork server imports before it forks. */
  readonly warm: readonly string[];

  /** Per worker; `undefined`: its fair share of the host. */
  readonly nthreads: number | undefined;
  readonly memoryLimit: MemoryLimit;
  readonly localDirectory: string | undefined;
  /** Prefix of the workers' names: `<name>-<rank>`. */
  readonly name: string;
  /** True: Dask's own Nanny was asked for; what `optionsOf` gives a rank has it as its `workerClass`. */
  readonly nanny: boolean;
  /** An importable class, e.g. `distributed.Worker`. */
  readonly workerClass: string;
  /** More keyword arguments for the worker class. */
  readonly workerOptions: Readonly<Record<string, unknown>>;
  readonly resources: Readonly<Record<string, number>>;
  /** Workers that differ from the others; `optionsOf` has a rank's own. */
  readonly group: readonly WorkerGroup[];
  /** Workers that the cluster may grow to by further launches; 0: no more than it has. */
  readonly expectedWorkers: number;
  /** Modules to load in scheduler and workers: `[name, ...arguments]` each. */
  readonly preload: readonly (readonly string[])[];
  readonly preloadNanny: readonly (readonly string[])[];
  readonly workerPort: PortRange | undefined;
  readonly workerDashboardAddress: string | undefined;
  readonly listenAddress: string | undefined;
  readonly contactAddress: string | undefined;
  /** Seconds a worker waits for a lost scheduler. */
  readonly deathTimeout: number | undefined;
  readonly lifetime: number | undefined;
  readonly lifetimeStagger: number | undefined;
  readonly lifetimeRestart: boolean;
  /** How often a worker that dies is started again; a restart that Dask asks for does not count. */
  readonly restarts: number;

  /** 0: any free port. */
  readonly schedulerPort: number;
  /** How often a scheduler that died is started again. */
  readonly schedulerRestarts: number;
  /** More keyword arguments for `distributed.Scheduler`. */
  readonly schedulerOptions: Readonly<Record<string, unknown>>;
  readonly idleTimeout: number | undefined;
  /** Seconds after which the whole launch ends in order. */
  readonly lifetimeCluster: number | undefined;
  readonly dashboard: boolean;
  /** `host:port` or `:port`. */
  readonly dashboardAddress: string;

  readonly interface: string | undefined;
  readonly host: string | undefined;
  /** As the user said it, without `://`; `undefined`: `tls` or `tcp`, as `security` has it. */
  readonly protocol: string | undefined;
  readonly contact: "address" | "hostname";

  /** `sources.security.kind === "default"` tells whether the user said so. */
  readonly security: "tls" | "none";
  /** True: a scheduler.json in a folder that a group may write in is believed. */
  readonly trustSharedFolder: boolean;
  readonly tls: TlsFiles | undefined;
  /** Whether Dask's and Jupyter's pages are served over TLS; `auto`: as their own configurations say. */
  readonly https: "auto" | "on" | "off";
  /** Where a TLS proxy leads to the clusters by their names: a domain, and the proxy's port. */
  readonly sniDomain: { readonly domain: string; readonly port: number } | undefined;

  readonly jupyter: JupyterKind | undefined;
  /** `undefined`: 8888 or a free port after it. */
  readonly jupyterPort: number | undefined;
  /** Seconds without a kernel after which Jupyter, and so the launch, ends. */
  readonly afterNotebook: number | undefined;
  /** The path below which Jupyter's pages are; `{host}` and `{port}` stand for its own. */
  readonly jupyterPrefix: string | undefined;
  /** Where Jupyter's host, port and token are written, for a portal that leads to it. */
  readonly connectionFile: string | undefined;
  readonly loginHost: string | undefined;
  readonly tunnel: "direct" | "jump" | "reverse";

  /** `undefined`: ask the batch system. */
  readonly walltime: number | undefined;
  /** How long before the walltime's end the workers are retired; `undefined`: scaled to the walltime. */
  readonly drain: number | undefined;
  /** How long an orderly end may take before it becomes a hard one. */
  readonly grace: number;

  readonly logLevel: LogLevel;
  readonly logDir: string | undefined;
  /** Absolute: where Prometheus looks for files of targets. */
  readonly prometheusTargets: string | undefined;
  /** Absolute: where to write how the launch ended. */
  readonly jsonSummary: string | undefined;
  /** Absolute: the page, or a folder for it; `auto`: beside the kept log. */
  readonly report: string | undefined;
  readonly quiet: boolean;
}

/** Where a value came from. `derived`: it follows from another option. */
export type Source =
  | { readonly kind: "command-line"; readonly option: string }
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "user" | "site"; readonly file: string; readonly line: number }
  | { readonly kind: "derived"; readonly from: string }
  | { readonly kind: "default" };

export type OptionKey =
  | Exclude<keyof Options, "program" | "script" | "schedulerAddress" | "tls">
  | "tlsCaFile"
  | "tlsCert"
  | "tlsKey";
export type Sources = Readonly<Record<OptionKey, Source>>;

export const SUBCOMMANDS = [
  "config",
  "connect",
  "env",
  "open",
  "script",
  "scale",
  "adapt",
  "list",
  "status",
  "logs",
  "explain",
  "doctor",
  "report",
  "stop",
  "proxy-map",
  "install-drop-in",
  "completion",
] as const;
export type Subcommand = (typeof SUBCOMMANDS)[number];

/** What the command line asks for; `argv` are the words after a subcommand's name. */
export type Command =
  | { readonly kind: "launch" }
  | { readonly kind: "help"; readonly topic?: string }
  | { readonly kind: "version" }
  | { readonly kind: Subcommand; readonly argv: readonly string[] };
