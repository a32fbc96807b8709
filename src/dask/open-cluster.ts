import { Failure } from "../errors/failure.ts";
import type { SchedulerFile } from "./scheduler-file.ts";

/** Throws TSD-121 for a cluster whose connections prove nothing (TCP and the like), unless its user has said that he means it. */
export function refuseOpen(path: string, { address }: Pick<SchedulerFile, "address">, security: "tls" | "none"): void {
  if (security !== "none" && !/^(?:tls|wss):/.test(address)) throw new Failure("TSD-121", { path, address });
}
