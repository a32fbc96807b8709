import type { Facts } from "../errors/failure.ts";
import type { MessageCode } from "../errors/messages.ts";
import type { ChildFailure, CloseReason, ForkRequest } from "./fork-server.ts";

/**
 * The messages of a launch, as plain JSON values. A *rank agent* acts for one rank, a *leader* is the first rank of a
 * host, the *hub* is on rank 0: rank agent ↔ leader over the host's unix socket, leader ↔ hub over `wss` (or inside one
 * process). The schemas that check them on arrival are in `schemas.ts`; this file is types, two numbers and a set, and
 * costs next to nothing at run time.
 */

/** The version of these messages; ranks of different versions of tsdask-mpi do not mix. */
export const controlVersion = 1;

/** What a rank can do; one rank may do several at once (`--inclusive-workers`). */
export type Role = "scheduler" | "client" | "worker";

/** What a job was granted on one host: cores and bytes, as far as its batch system tells, and who says so. */
export interface Granted {
  readonly cpus?: number;
  readonly memory?: number;
  readonly why: string;
}

/** The most of rank 0's standard input (bytes, before base64) that one message takes to the script's rank. */
export const largestInput = 48 * 1024;

/**
 * Why a worker left that is not started again and is no loss: it was asked to, by the scheduler or by its own options,
 * or has no scheduler.
 */
export const leftInOrder: ReadonlySet<CloseReason> = new Set([
  "retired",
  "lifetime",
  "idle",
  "scheduler-closed",
  "scheduler-lost",
]);

/** What a rank says of itself when it meets its leader. */
export interface Hello {
  readonly t: "hello";
  readonly v: number;
  readonly rank: number;
  readonly size: number;
  readonly pid: number;
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The rank's `TSDASK_*` variables, which may differ from rank to rank. */
  readonly env: Readonly<Record<string, string>>;
  /** `Cpus_allowed_list` of the rank, when it was read. */
  readonly cpus?: string;
}

/**
 * The steps of a rank on its way into the cluster, in their order: its process started, it met its host's agent, it was
 * told its part, its worker was forked.
 */
export type RankStep = "started" | "met" | "told" | "forked";

/**
 * Why a worker was lost, where that is known: it ran out of memory, or SIGKILL ended it, which the system sends for
 * want of memory, or somebody.
 */
export type LossCause = "memory" | "killed";

/** What happened on a rank; travels rank agent → leader → hub. */
export type RankEvent =
  | {
      readonly k: "scheduler-ready";
      readonly address: string;
      readonly identity: Readonly<Record<string, unknown>>;
      readonly dashboard: number | null;
      /** Whether the dashboard is served over TLS. */
      readonly https?: boolean;
    }
  | {
      readonly k: "scheduler-exit";
      readonly code: number | null;
      readonly signal: number | null;
      readonly why: string;
      /** What Python calls the failure that `why` tells of. */
      readonly kind?: ChildFailure;
      /** Why it closed, where it did so in order. */
      readonly reason?: CloseReason;
      /** It had answered, and its rank starts another one at the same address. */
      readonly restarting?: true;
    }
  | {
      readonly k: "worker-ready";
      readonly address: string;
      readonly name: string;
      readonly dashboard: number | null;
      readonly nthreads: number;
      readonly memoryLimit: number;
      readonly pid: number;
      /** How long (ms) before this message each step of the rank was. */
      readonly ages?: Readonly<Partial<Record<RankStep, number>>>;
    }
  | {
      readonly k: "worker-lost";
      readonly why: string;
      readonly restarting: boolean;
      readonly cause?: LossCause;
    }
  | { readonly k: "worker-away"; readonly why: CloseReason }
  /** It has lost its scheduler, and waits to hear of the next one. */
  | { readonly k: "worker-waits" }
  /**
   * What the launch's scheduler was used for: clients, tasks that ran, workers that ran some, workers that there were,
   * bytes spilled to disk, tasks that no worker could run.
   */
  | {
      readonly k: "scheduler-usage";
      readonly clients: number;
      readonly tasks: number;
      readonly used: number;
      readonly seen: number;
      readonly spilled: number;
      readonly unrunnable: number;
    }
  /**
   * What a rank's worker used of what it had: processor and threads × time in seconds, greatest resident memory and its
   * limit in bytes (0: none).
   */
  | {
      readonly k: "worker-usage";
      readonly cpu: number;
      readonly threadSeconds: number;
      readonly threads: number;
      readonly peak: number;
      readonly limit: number;
    }
  | { readonly k: "client-started"; readonly pid: number }
  /** `signal` is the name of the one that ended it, if one did. */
  | { readonly k: "client-exit"; readonly code: number; readonly signal?: string }
  /** `path` is its first page; `dashboard` the path at which it shows Dask's dashboard, if it does. */
  | {
      readonly k: "jupyter-ready";
      readonly host: string;
      readonly port: number;
      readonly https?: boolean | undefined;
      readonly path: string;
      readonly dashboard?: string | undefined;
      /** A JupyterHub leads there. */
      readonly hub?: boolean | undefined;
    }
  | { readonly k: "signal"; readonly signal: string }
  /** The script has taken what it got of rank 0's standard input: the next piece may come. */
  | { readonly k: "stdin" }
  /** `ranks`: all that it keeps from taking part; absent: the one that tells it. */
  | {
      readonly k: "failure";
      readonly code: MessageCode;
      readonly facts: Facts;
      readonly exit: number;
      readonly ranks?: readonly number[];
    }
  /** A message that the launch survives. */
  | { readonly k: "warning"; readonly code: MessageCode; readonly facts: Facts }
  | {
      readonly k: "note";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly text: string /** Said by the rank's child. */;
      readonly child?: true;
    };

export type FromRank = Hello | { readonly t: "event"; readonly event: RankEvent };

type PlanOf<Request> = Request extends ForkRequest
  ? Omit<Request, "op" | "id" | "env" | "cwd" | "rank_pid" | "version">
  : never;

/**
 * How a Python child is started: the request that the fork server, or an exec'd `child.py`, gets, without what only its
 * rank knows.
 */
export type ChildRequest = PlanOf<ForkRequest>;
export type SchedulerRequest = Extract<ChildRequest, { readonly kind: "scheduler" }>;
export type WorkerRequest = Extract<ChildRequest, { readonly kind: "worker" }>;

export interface Assign {
  readonly t: "assign";
  readonly roles: readonly Role[];
  readonly host: string;
  readonly leaderPid: number;
  /** This host's address that the other hosts reach. */
  readonly address: string;
  readonly scheduler?: SchedulerRequest;
  readonly worker?: WorkerRequest;
  /** Where the fork server listens; absent with `--spawn exec`. */
  readonly forkSocket?: string;
  /** Where the host's server watches over the script, forking or not. */
  readonly watchdogSocket: string;
  readonly python: string;
  readonly pythonRoot: string;
  readonly restarts: number;
  readonly schedulerRestarts: number;
  /** A worker that lost its scheduler waits for the next one. */
  readonly schedulerReturns: boolean;
  /** The worker is restarted when its resident memory passes this many bytes; 0 for never. */
  readonly terminateAt: number;
  readonly logLevel: string;
  readonly grace: number;
  /** This rank says so, for all of its host, when rank 0 is gone. */
  readonly reportsRankZeroLoss: boolean;
}

/** What the client's rank starts. */
export interface ClientStart {
  readonly t: "client";
  readonly file: string;
  readonly args: readonly string[];
  /**
   * The cluster's Python, whose programs (`python`, `pytest`, `jupyter`) what is started finds before others of these
   * names.
   */
  readonly python: string;
  /** Variables added to (or, with null, removed from) the rank's own stripped environment. */
  readonly env: Readonly<Record<string, string | null>>;
  /** Set for JupyterLab and the like, which get a port and an address on their own host. */
  readonly jupyter?: {
    readonly port?: number;
    readonly loopback: boolean;
    /** Seconds that it has to open its port. */
    readonly patience: number;
    readonly hub?: boolean;
    readonly prefix?: string;
  };
  readonly grace: number;
  /**
   * Rank 0's standard input becomes the script's: in any case, or where the script's rank has /dev/null. Absent: the
   * rank's own is the script's.
   */
  readonly stdin?: "relay" | "relay-if-null";
}

export type ToRank =
  | Assign
  | ClientStart
  | { readonly t: "address"; readonly scheduler: string }
  | { readonly t: "dashboard" }
  /**
   * Take part in the launcher's key-value exchange: every rank must, though only leaders have something to say in it.
   */
  | { readonly t: "pmi" }
  | { readonly t: "script-signal"; readonly signal: string }
  /** A piece of rank 0's standard input (base64, at most `largestInput` bytes of it), or its end. */
  | { readonly t: "stdin"; readonly data: string | null }
  | { readonly t: "end"; readonly code: number; readonly grace: number };

/** What a host tells the hub of its Python, for the check that all hosts agree. */
export interface PythonReport {
  readonly host: string;
  readonly executable: string;
  readonly python: string;
  readonly dask: string;
  readonly distributed: string;
  readonly packages: Readonly<Record<string, string>>;
}

export type FromLeader =
  | {
      readonly t: "join";
      readonly v: number;
      readonly launch: string;
      readonly host: string;
      readonly rank: number;
      readonly proof: string;
      /** The host's clock as it sent this (ms since 1970): clocks that differ break certificates. */
      readonly time?: number;
    }
  /** Ranks that have met there; `of` is how many there are on that host, where its launcher tells. */
  | { readonly t: "ranks"; readonly ranks: readonly number[]; readonly of?: number | undefined }
  | { readonly t: "python"; readonly report: PythonReport }
  | { readonly t: "event"; readonly rank: number; readonly event: RankEvent }
  | { readonly t: "gone"; readonly rank: number }
  /** What `tsdask-mpi doctor` has found on a host, as JSON. */
  | { readonly t: "findings"; readonly text: string }
  | { readonly t: "host-done" };

/**
 * The launch's credentials as they travel, over an authenticated connection only. PEM texts; null with `--security
 * none`.
 */
export interface Credentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export type ToLeader =
  | { readonly t: "challenge"; readonly nonce: string }
  | {
      readonly t: "welcome";
      readonly folder: string;
      readonly schedulerFile: string;
      readonly credentials: Credentials | null;
      readonly token: string | null;
      /** What the job was granted on this leader's host, where rank 0 knows it. */
      readonly granted?: Granted | undefined;
      /** Workers are called by their ranks' numbers. */
      readonly namedByRank: boolean;
      /** The rank that runs the script; null without one. */
      readonly clientRank: number | null;
      /** A scheduler that dies is started again. */
      readonly schedulerReturns: boolean;
    }
  /** Of `tsdask-mpi doctor`: try whether these hosts take a connection, and whether this file is seen. */
  | {
      readonly t: "probe";
      readonly peers: readonly { readonly host: string; readonly addresses: readonly string[] }[];
      readonly file: string;
    }
  | { readonly t: "address"; readonly scheduler: string }
  | { readonly t: "to-rank"; readonly rank: number; readonly message: ToRank }
  | { readonly t: "end"; readonly code: number; readonly grace: number };
