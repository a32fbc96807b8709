// Made from fork-server.json by `npm run contract`: change that file, not this one.
import { isMessage, type Enumerations, type Shapes } from "./shapes.ts";

/** The version of these messages, in the fork server's greeting. */
export const forkServerVersion = 2;

export type ServerFailure = "old-python" | "no-dask" | "old-dask" | "incompatible" | "lacking" | "warm" | "threads" | "folder" | "yaml" | "missing" | "library" | "hidden" | "encryption" | "preload" | "memory" | "broken" | "server";
export type Diagnosis = "yaml" | "missing" | "library" | "hidden" | "encryption" | "preload" | "memory" | "broken";
export type Refusal = "ending" | "exec" | "cgroup" | "fork" | "busy" | "malformed" | "late" | "server";
export type CloseReason = "retired" | "restart" | "lifetime" | "idle" | "stop" | "terminate" | "nanny" | "scheduler-closed" | "scheduler-lost" | "closed";
export type ChildFailure = "timeout" | "tls" | "port" | "permission" | "folder" | "address" | "preload" | "import" | "encryption" | "yaml" | "arguments" | "refused" | "malformed" | "missing" | "library" | "hidden" | "memory" | "broken" | "incompatible" | "spawn" | "other";

export const enumerations: Enumerations = {
  ServerFailure: ["old-python","no-dask","old-dask","incompatible","lacking","warm","threads","folder","yaml","missing","library","hidden","encryption","preload","memory","broken","server"],
  Diagnosis: ["yaml","missing","library","hidden","encryption","preload","memory","broken"],
  Refusal: ["ending","exec","cgroup","fork","busy","malformed","late","server"],
  CloseReason: ["retired","restart","lifetime","idle","stop","terminate","nanny","scheduler-closed","scheduler-lost","closed"],
  ChildFailure: ["timeout","tls","port","permission","folder","address","preload","import","encryption","yaml","arguments","refused","malformed","missing","library","hidden","memory","broken","incompatible","spawn","other"],
};

export interface SecurityFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface ChildPlace {
  readonly id: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly rank_pid?: number;
  readonly version?: number;
  readonly cpu_count: number;
  readonly memory_limit: number | null;
  readonly sys_path: readonly string[];
}

export interface ChildParams {
  readonly kwargs?: Readonly<Record<string, unknown>>;
  readonly user_kwargs?: Readonly<Record<string, unknown>>;
  readonly security?: SecurityFiles | null;
  readonly token_file?: string | null;
  readonly preload?: readonly (readonly string[])[];
  readonly log_level?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly derived?: Readonly<Record<string, unknown>>;
  readonly scratch?: string;
  readonly contact_host?: string;
  readonly later_path?: readonly string[];
}

export interface SchedulerParams extends ChildParams {
  readonly dashboard?: boolean;
  readonly launched?: number;
  readonly worker_prefix?: string;
  readonly returns?: boolean;
}

export interface WorkerParams extends ChildParams {
  readonly worker_class?: string;
  readonly scheduler?: string | null;
  readonly preload_nanny?: readonly (readonly string[])[];
}

/** An agent to the fork server that it started, on its standard input; `start` is the first line. */
export type ServerCommand =
  | { readonly op: "start"; readonly socket: string; readonly host_dir: string; readonly pipes?: readonly string[]; readonly warm?: readonly string[]; readonly imports?: boolean; readonly modules?: readonly string[]; readonly script_folder?: string; readonly request_seconds?: number }
  | { readonly op: "own"; readonly paths?: readonly string[]; readonly identities?: readonly string[]; readonly links?: readonly string[]; readonly scheduler_file?: string; readonly file?: string; readonly launch?: string }
  | { readonly op: "disown"; readonly paths: readonly string[] }
  | { readonly op: "rank"; readonly pid: number }
  | { readonly op: "end"; readonly grace: number };

/** The fork server to the agent that started it, on its standard output. */
export type ServerEvent =
  | { readonly event: "listening"; readonly version: number }
  | { readonly event: "ready"; readonly python: string; readonly executable: string; readonly dask: string; readonly distributed: string; readonly seconds: number; readonly threads: number; readonly packages: Readonly<Record<string, string>>; readonly hidden: readonly (readonly [string, string])[]; readonly missing: readonly string[]; readonly newest_tested: string | null }
  | { readonly event: "failed"; readonly reason: ServerFailure; readonly message: string; readonly executable?: string; readonly python?: string; readonly module?: string }
  | { readonly event: "rank-gone"; readonly pid: number };

const serverEvents: Shapes = {
  "listening": [{"version":"int"}],
  "ready": [{"python":"string","executable":"string","dask":"string","distributed":"string","seconds":"number","threads":"int","packages":"map","hidden":"pairs","missing":"string[]","newest_tested":"string|null"}],
  "failed": [{"reason":"ServerFailure","message":"string","executable":"string?","python":"string?","module":"string?"}],
  "rank-gone": [{"pid":"int"}],
};

/** The value as a message of this kind; undefined when it is none. */
export const acceptServerEvent = (value: unknown): ServerEvent | undefined =>
  (isMessage(value, "event", serverEvents, enumerations) ? value : undefined) as ServerEvent | undefined;

/** A rank asks for its scheduler or worker: the fork server, or on descriptor 3 a child that is a program of its own, which gets the version of these messages, too. */
export type ForkRequest =
  | (ChildPlace & { readonly kind: "scheduler"; readonly op: "fork"; readonly params: SchedulerParams })
  | (ChildPlace & { readonly kind: "worker"; readonly op: "fork"; readonly params: WorkerParams });

/** What else a rank's connection to the fork server may be for: a child's output, or to watch over the script's process. */
export type CompanionRequest =
  | { readonly op: "stdio"; readonly id: string }
  | { readonly op: "watch"; readonly pid: number };

/** A child, or the fork server on its behalf, to its rank, on the control connection. */
export type ChildEvent =
  | { readonly event: "forked"; readonly pid: number }
  | { readonly event: "refused"; readonly reason: Refusal; readonly message: string }
  | { readonly event: "ready"; readonly kind: "scheduler"; readonly address: string; readonly identity: Readonly<Record<string, unknown>>; readonly dashboard: number | null; readonly https: boolean }
  | { readonly event: "ready"; readonly kind: "worker"; readonly address: string; readonly name: string; readonly dashboard: number | null; readonly nthreads: number | null; readonly memory_limit: number | null; readonly terminate: unknown; readonly shared: number | null }
  | { readonly event: "closing"; readonly reason: CloseReason }
  | { readonly event: "dashboard"; readonly problem: string | null }
  | { readonly event: "missing-module"; readonly module: string }
  | { readonly event: "lacking"; readonly message: string }
  | { readonly event: "failed"; readonly code: ChildFailure; readonly message: string }
  | { readonly event: "stop-asked"; readonly now: boolean }
  | { readonly event: "usage"; readonly clients: number; readonly tasks: number; readonly used: number; readonly seen: number; readonly spilled: number; readonly unrunnable: number }
  | { readonly event: "exit"; readonly code: number | null; readonly signal: number | null; readonly cpu?: number; readonly peak?: number };

const childEvents: Shapes = {
  "forked": [{"pid":"int"}],
  "refused": [{"reason":"Refusal","message":"string"}],
  "ready": [{"kind":"=scheduler","address":"string","identity":"object","dashboard":"int|null","https":"boolean"},{"kind":"=worker","address":"string","name":"string","dashboard":"int|null","nthreads":"int|null","memory_limit":"number|null","terminate":"json","shared":"int|null"}],
  "closing": [{"reason":"CloseReason"}],
  "dashboard": [{"problem":"string|null"}],
  "missing-module": [{"module":"string"}],
  "lacking": [{"message":"string"}],
  "failed": [{"code":"ChildFailure","message":"string"}],
  "stop-asked": [{"now":"boolean"}],
  "usage": [{"clients":"int","tasks":"int","used":"int","seen":"int","spilled":"int","unrunnable":"int"}],
  "exit": [{"code":"int|null","signal":"int|null","cpu":"number?","peak":"number?"}],
};

/** The value as a message of this kind; undefined when it is none. */
export const acceptChildEvent = (value: unknown): ChildEvent | undefined =>
  (isMessage(value, "event", childEvents, enumerations) ? value : undefined) as ChildEvent | undefined;

/** A rank to its child, on the control connection. */
export type ChildCommand =
  | { readonly op: "stop"; readonly grace: number }
  | { readonly op: "address"; readonly scheduler: string }
  | { readonly op: "dashboard" };
