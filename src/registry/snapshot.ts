import { callScheduler, identity, type SchedulerEndpoint, type SchedulerIdentity } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";

/** What a scheduler said of its work at one moment. */
export interface Snapshot {
  /** Seconds since 1970. */
  readonly at: number;
  readonly identity: SchedulerIdentity;
  /** The names of the workers' hosts by address, where they are known. */
  readonly hosts?: ReadonlyMap<string, string>;
  /** Tasks by Dask's name of their state. */
  readonly tasks: Readonly<Record<string, number>>;
  /** Results made since the start; undefined where the scheduler is not one of ours. */
  readonly finished?: number;
  /** Since when nothing runs, seconds since 1970; null while something does. */
  readonly idleSince?: number | null;
  /** Seconds of workers' threads that nothing ran on, since the start. */
  readonly idleThreadSeconds?: number;
  /** Workers that nothing has come from for long. */
  readonly silent?: readonly SilentWorker[];
}

/** A worker that its scheduler has not heard of for so many seconds; `host` is its address. */
export interface SilentWorker {
  readonly name: string;
  readonly host: string;
  readonly seconds: number;
}

/** Asks a scheduler for its workers and tasks, in two short questions of Dask's own RPC. Throws TSD-075 to TSD-078. */
export async function takeSnapshot(
  scheduler: SchedulerEndpoint,
  { ours }: { readonly ours: boolean },
): Promise<Snapshot> {
  const deadline = deadlines.connectCommand;
  const [found, work] = await Promise.all([
    identity(scheduler, { deadline }),
    ours ? askOurs(scheduler, deadline) : askDask(scheduler, deadline),
  ]);
  return { at: Date.now() / 1000, identity: found, ...work };
}

type Work = Omit<Snapshot, "at" | "identity">;

async function askOurs(scheduler: SchedulerEndpoint, deadline: number): Promise<Work> {
  try {
    const reply = fields(await callScheduler(scheduler, "tsdask_status", {}, { deadline }));
    const idle = reply["idle_since"];
    return {
      tasks: numbers(reply["tasks"]),
      finished: number(reply["finished"]),
      idleSince: typeof idle === "number" ? idle : null,
      idleThreadSeconds: number(reply["idle_thread_seconds"]),
      silent: silentOf(reply["silent"]),
    };
  } catch (error) {
    // A cluster of an earlier version does not know the question.
    if (error instanceof Failure && error.code === "TSD-078") return askDask(scheduler, deadline);
    throw error;
  }
}

/** What every scheduler from 2022.12 on tells: states by prefix, without the queued. */
async function askDask(scheduler: SchedulerEndpoint, deadline: number): Promise<Work> {
  const reply = fields(await callScheduler(scheduler, "get_task_prefix_states", {}, { deadline }));
  const tasks: Record<string, number> = {};
  for (const states of Object.values(reply))
    for (const [state, many] of Object.entries(numbers(states))) tasks[state] = (tasks[state] ?? 0) + many;
  return { tasks };
}

/** The silent workers of a reply. Pure. */
export function silentOf(value: unknown): readonly SilentWorker[] {
  const rows = Array.isArray(value) ? value.filter((row): row is unknown[] => Array.isArray(row)) : [];
  return rows.map(([name, host, seconds]) => ({ name: String(name), host: String(host), seconds: number(seconds) }));
}

/** The entries of a reply that is a mapping. */
export function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

/** A number of a reply; 0 for anything else. */
export function number(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

function numbers(value: unknown): Record<string, number> {
  return Object.fromEntries(Object.entries(fields(value)).map(([name, many]) => [name, number(many)]));
}
