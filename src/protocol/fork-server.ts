// Made from fork-server.json by `npm run contract`: change that file, not this one.
import { isMessage, type Enumerations, type Shapes } from "./shapes.ts";

/** The version of these messages, in the fork server's greeting. */
export const forkServerVersion = 1;

export type Kind = "scheduler" | "worker";
export type ServerFailure = "old-python" | "no-dask" | "old-dask" | "incompatible" | "lacking" | "warm" | "threads" | "yaml" | "missing" | "library" | "hidden" | "encryption" | "preload" | "broken" | "server";
export type Diagnosis = "yaml" | "missing" | "library" | "hidden" | "encryption" | "preload" | "broken";
export type Refusal = "ending" | "exec" | "cgroup" | "fork" | "busy" | "malformed" | "late" | "server";
export type CloseReason = "retired" | "restart" | "lifetime" | "idle" | "stop" | "terminate" | "nanny" | "scheduler-closed" | "scheduler-lost" | "closed";
export type ChildFailure = "timeout" | "tls" | "port" | "permission" | "folder" | "address" | "preload" | "import" | "encryption" | "yaml" | "arguments" | "refused" | "malformed" | "missing" | "library" | "hidden" | "broken" | "spawn" | "other";

const enumerations: Enumerations = {
  Kind: ["scheduler","worker"],
  ServerFailure: ["old-python","no-dask","old-dask","incompatible","lacking","warm","threads","yaml","missing","library","hidden","encryption","preload","broken","server"],
  Diagnosis: ["yaml","missing","library","hidden","encryption","preload","broken"],
  Refusal: ["ending","exec","cgroup","fork","busy","malformed","late","server"],
  CloseReason: ["retired","restart","lifetime","idle","stop","terminate","nanny","scheduler-closed","scheduler-lost","closed"],
  ChildFailure: ["timeout","tls","port","permission","folder","address","preload","import","encryption","yaml","arguments","refused","malformed","missing","library","hidden","broken","spawn","other"],
};

/** The fork server to the agent that started it, on its standard output. */
export type ServerEvent =
  | { readonly event: "listening"; readonly version: number }
  | { readonly event: "ready"; readonly python: string; readonly executable: string; readonly dask: string; readonly distributed: string; readonly seconds: number; readonly threads: number; readonly packages: Readonly<Record<string, string>>; readonly hidden: readonly (readonly [string, string])[]; readonly missing: readonly string[] }
  | { readonly event: "failed"; readonly reason: ServerFailure; readonly message: string; readonly executable?: string; readonly python?: string; readonly module?: string }
  | { readonly event: "rank-gone"; readonly pid: number };

const serverEvents: Shapes = {
  "listening": {"version":"int"},
  "ready": {"python":"string","executable":"string","dask":"string","distributed":"string","seconds":"number","threads":"int","packages":"map","hidden":"pairs","missing":"string[]"},
  "failed": {"reason":"ServerFailure","message":"string","executable":"string?","python":"string?","module":"string?"},
  "rank-gone": {"pid":"int"},
};

/** The value as a message of this kind; undefined when it is none. */
export const acceptServerEvent = (value: unknown): ServerEvent | undefined =>
  (isMessage(value, "event", serverEvents, enumerations) ? value : undefined) as ServerEvent | undefined;

/** A child, or the fork server on its behalf, to its rank, on the control connection. */
export type ChildEvent =
  | { readonly event: "forked"; readonly pid: number }
  | { readonly event: "refused"; readonly reason: Refusal; readonly message: string }
  | { readonly event: "ready"; readonly address: string; readonly dashboard?: number | null; readonly https?: boolean; readonly identity?: unknown; readonly name?: unknown; readonly nthreads?: number | null; readonly memory_limit?: number | null; readonly terminate?: unknown; readonly pid?: number }
  | { readonly event: "closing"; readonly reason: CloseReason; readonly dask?: string }
  | { readonly event: "dashboard"; readonly loaded: boolean; readonly problem: string | null }
  | { readonly event: "missing-module"; readonly module: string }
  | { readonly event: "failed"; readonly code: ChildFailure; readonly message: string; readonly traceback?: string }
  | { readonly event: "stop-asked"; readonly now: boolean }
  | { readonly event: "usage"; readonly clients: number; readonly tasks: number; readonly used: number; readonly seen: number; readonly spilled: number }
  | { readonly event: "exit"; readonly code: number | null; readonly signal: number | null; readonly cpu?: number; readonly peak?: number };

const childEvents: Shapes = {
  "forked": {"pid":"int"},
  "refused": {"reason":"Refusal","message":"string"},
  "ready": {"address":"string","dashboard":"int?|null","https":"boolean?","identity":"json?","name":"json?","nthreads":"int?|null","memory_limit":"number?|null","terminate":"json?","pid":"int?"},
  "closing": {"reason":"CloseReason","dask":"string?"},
  "dashboard": {"loaded":"boolean","problem":"string|null"},
  "missing-module": {"module":"string"},
  "failed": {"code":"ChildFailure","message":"string","traceback":"string?"},
  "stop-asked": {"now":"boolean"},
  "usage": {"clients":"int","tasks":"int","used":"int","seen":"int","spilled":"int"},
  "exit": {"code":"int|null","signal":"int|null","cpu":"number?","peak":"number?"},
};

/** The value as a message of this kind; undefined when it is none. */
export const acceptChildEvent = (value: unknown): ChildEvent | undefined =>
  (isMessage(value, "event", childEvents, enumerations) ? value : undefined) as ChildEvent | undefined;

/** A rank to its child, on the control connection. */
export type ChildOrder =
  | { readonly op: "stop"; readonly grace: number }
  | { readonly op: "address"; readonly scheduler: string }
  | { readonly op: "dashboard" };

const childOrders: Shapes = {
  "stop": {"grace":"number"},
  "address": {"scheduler":"string"},
  "dashboard": {},
};

/** The value as a message of this kind; undefined when it is none. */
export const acceptChildOrder = (value: unknown): ChildOrder | undefined =>
  (isMessage(value, "op", childOrders, enumerations) ? value : undefined) as ChildOrder | undefined;
