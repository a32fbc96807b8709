import { Failure } from "../errors/failure.ts";
import type { SchedulerFile } from "./scheduler-file.ts";

/**
 * Throws TSD-121 for a cluster whose connections prove nothing (TCP and the like), unless its user has said that he
 * means it.
 */
export function refuseOpen(path: string, { address }: Pick<SchedulerFile, "address">, security: "tls" | "none"): void {
  if (security !== "none" && !/^(?:tls|wss):/.test(address)) throw new Failure("TSD-121", { path, address });
}

/** What the sentence depends on: the options of a launch, and the program whose command line they came from. */
export interface OpenClusterFacts {
  readonly program: "tsdask-mpi" | "dask-mpi";
  readonly security: "tls" | "none";
  /** False for a launch that joins a cluster: that one has said it. */
  readonly scheduler: boolean;
  readonly protocol: string | undefined;
}

/**
 * What a cluster without security means, in one sentence that is told once, at its start; undefined for a secure one.
 */
export function openClusterNote({ program, security, scheduler, protocol }: OpenClusterFacts): string | undefined {
  if (security === "tls" || !scheduler) return undefined;
  const means = "everyone who reaches this network can use the cluster, and run code as you";
  if (program === "dask-mpi") return `as with dask-mpi, ${means}; \`tsdask-mpi\` makes private clusters`;
  if (protocol?.startsWith("ucx")) return `UCX cannot be encrypted: ${means}; \`--protocol tls\` keeps it private`;
  return `security is off: ${means}; \`--security tls\`, the default, keeps it private`;
}
