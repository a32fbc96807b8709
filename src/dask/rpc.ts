import * as v from "valibot";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { isRecord, lineTrouble, openComm, type TlsCredentials } from "./comm.ts";

/**
 * Whether a call failed because the scheduler was not there, could not be trusted or understood, or answered with an
 * error (TSD-075 to TSD-078).
 */
export function isCallFailure(error: unknown): error is Failure {
  return error instanceof Failure && /^TSD-07[5-8]$/.test(error.code);
}

/** Where a scheduler is, and what it takes to get in when it is a `tls://` one. */
export interface SchedulerEndpoint {
  readonly address: string;
  readonly tls?: TlsCredentials | undefined;
}

export interface CallOptions {
  /** The whole call, connecting included, must be done within so many milliseconds. */
  readonly deadline?: number;
}

/**
 * Asks a scheduler (or a worker) for one operation of its own RPC and returns its reply as plain values (msgpack's).
 * Throws what `openComm` throws, and TSD-078 when Dask answers with an error of its own.
 */
export async function callScheduler(
  { address, tls }: SchedulerEndpoint,
  op: string,
  args: Readonly<Record<string, unknown>> = {},
  { deadline = deadlines.schedulerCall }: CallOptions = {},
): Promise<unknown> {
  await using comm = await openComm(address, { tls, deadline });
  comm.send({ op, reply: true, close: true, ...args });
  const reply = await comm.receive();
  // distributed/core.py, error_message: the pickled exception is in further frames, its text in plain msgpack.
  if (
    isRecord(reply) &&
    (reply["status"] === "uncaught-error" || reply["status"] === "error") &&
    "exception" in reply
  ) {
    throw new Failure("TSD-078", { address, op, problem: String(reply["exception_text"] ?? "no text") });
  }
  return reply;
}

const WorkerIdentity = v.looseObject({
  name: v.optional(v.nullable(v.union([v.string(), v.number()]))),
  host: v.optional(v.string()),
  nthreads: v.optional(v.number()),
  memory_limit: v.optional(v.nullable(v.number())),
  status: v.optional(v.unknown()),
});

const Identity = v.looseObject({
  type: v.string(),
  id: v.string(),
  address: v.string(),
  services: v.optional(v.record(v.string(), v.unknown()), {}),
  started: v.optional(v.number()),
  workers: v.optional(v.record(v.string(), WorkerIdentity), {}),
});

export type SchedulerIdentity = v.InferOutput<typeof Identity>;

/** Who the scheduler is and which workers it has (`workers` by address). */
export async function identity(scheduler: SchedulerEndpoint, options?: CallOptions): Promise<SchedulerIdentity> {
  return checked(Identity, await callScheduler(scheduler, "identity", {}, options), scheduler);
}

const Versions = v.looseObject({
  host: v.optional(v.record(v.string(), v.unknown()), {}),
  packages: v.record(v.string(), v.nullable(v.string())),
});

export type SchedulerVersions = v.InferOutput<typeof Versions>;

/** The scheduler's Python and package versions (`packages.python`, `packages.distributed`, …). */
export async function versions(scheduler: SchedulerEndpoint, options?: CallOptions): Promise<SchedulerVersions> {
  return checked(Versions, await callScheduler(scheduler, "versions", {}, options), scheduler);
}

/** The threads of every worker, by its address. */
export async function ncores(
  scheduler: SchedulerEndpoint,
  options?: CallOptions,
): Promise<Readonly<Record<string, number>>> {
  return checked(v.record(v.string(), v.number()), await callScheduler(scheduler, "ncores", {}, options), scheduler);
}

export interface Retirement {
  /** Workers by name or by address; exactly one of the two. */
  readonly names?: readonly (string | number)[];
  readonly workers?: readonly string[];
  /** Whether the scheduler also tells them to close; true unless said otherwise. */
  readonly closeWorkers?: boolean;
}

/**
 * Retires workers: their results move to others first. Returns the addresses of those that were retired, which are
 * fewer than asked when their data found no other place. Throws as `callScheduler`.
 */
export async function retireWorkers(
  scheduler: SchedulerEndpoint,
  { names, workers, closeWorkers = true }: Retirement,
  options?: CallOptions,
): Promise<readonly string[]> {
  const who = names === undefined ? { workers: workers ?? [] } : { names };
  const reply = await callScheduler(
    scheduler,
    "retire_workers",
    { ...who, close_workers: closeWorkers, remove: true },
    options,
  );
  if (Array.isArray(reply)) return reply.map(String);
  return isRecord(reply) ? Object.keys(reply) : [];
}

/** How many workers the scheduler's own adaptive scaling would have now. */
export async function adaptiveTarget(scheduler: SchedulerEndpoint, options?: CallOptions): Promise<number> {
  return checked(v.number(), await callScheduler(scheduler, "adaptive_target", {}, options), scheduler);
}

const LogLines = v.array(v.tuple([v.string(), v.string()]));

/** The scheduler's last log lines, newest first: level and text. */
export async function getLogs(
  scheduler: SchedulerEndpoint,
  lines: number,
  options?: CallOptions,
): Promise<readonly (readonly [string, string])[]> {
  return checked(LogLines, await callScheduler(scheduler, "get_logs", { n: lines }, options), scheduler);
}

/** Ends the scheduler, and with it its workers. A connection that closes without a reply is an end too. */
export async function terminate(scheduler: SchedulerEndpoint, options?: CallOptions): Promise<void> {
  try {
    await callScheduler(scheduler, "terminate", {}, options);
  } catch (error) {
    if (lineTrouble(error)?.stage === "answer") return;
    throw error;
  }
}

function checked<const Schema extends v.GenericSchema>(
  schema: Schema,
  reply: unknown,
  { address }: SchedulerEndpoint,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, reply);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new Failure("TSD-077", {
    address,
    problem: `an unexpected reply (${v.getDotPath(issue) ?? "whole"}: ${issue.message})`,
  });
}
