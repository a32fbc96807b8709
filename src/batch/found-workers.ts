import type { SchedulerIdentity } from "../dask/rpc.ts";
import type { ClusterGroup, SchedulerFile } from "../dask/scheduler-file.ts";
import type { WorkerSeen } from "./growth.ts";

/** A worker as the scheduler tells of it, with what it has. */
export interface FoundWorker extends WorkerSeen {
  readonly resources: Readonly<Record<string, unknown>>;
}

/**
 * A worker's metrics: `task_counts` by state since Dask 2023, single counts before; `managed_bytes`, else the process's
 * memory.
 */
export function workersOf(found: SchedulerIdentity): readonly FoundWorker[] {
  return Object.entries(found.workers).map(([address, worker]) => {
    const metrics = record(worker["metrics"]);
    const counts = "task_counts" in metrics ? record(metrics["task_counts"]) : metrics;
    const busy = [
      "executing",
      "long-running",
      "ready",
      "constrained",
      "waiting",
      "fetch",
      "flight",
      "in_flight",
      "resumed",
    ];
    return {
      address,
      name: String(worker.name ?? address),
      busy: busy.reduce((sum, state) => sum + count(counts[state]), 0),
      bytes: count(metrics["managed_bytes"] ?? metrics["memory"]),
      resources: record(worker["resources"]),
    };
  });
}

/** The groups of a cluster whose workers have resources that tasks can ask for. */
export function withResources({ tsdask }: Pick<SchedulerFile, "tsdask">): readonly ClusterGroup[] {
  return (tsdask?.groups ?? []).filter(({ resources }) => Object.keys(resources).length > 0);
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function count(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
