import { lstat } from "node:fs/promises";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { systemCode, unwritable } from "../security/file-problems.ts";
import type { ClusterRecord } from "./scheduler-file.ts";

/** What TSD-025 says of a cluster that cannot be reached from here. */
export const mayRun = "may still run";

/** Whose a scheduler.json is that lies where ours should go. */
export type Claim = { readonly state: "free" } | { readonly state: "stale"; readonly why: string };

/** How a file is judged. */
export interface Judging {
  /** How long (ms) its scheduler has to answer. */
  readonly deadline?: number;
  /** Whether it is certain that a cluster has ended which cannot be reached from here. */
  readonly isOver?: (cluster: ClusterRecord) => Promise<boolean>;
}

/**
 * Looks at what lies at `path` before a launch writes there: nothing, or the file of a cluster that is gone, may be
 * replaced. Throws TSD-025 when the cluster it names is alive, or may be: the fact `runs` tells which. Loads Dask's
 * wire only when there is a file.
 */
export async function claimSchedulerFile(
  path: string,
  { deadline = deadlines.liveCluster, isOver }: Judging = {},
): Promise<Claim> {
  try {
    const found = await lstat(path);
    if (found.isDirectory()) throw new Failure("TSD-026", { path, problem: "there is a folder of that name" });
    // What somebody else put there is nothing to believe, and not ours to take away either.
    if (found.uid !== process.geteuid?.())
      throw new Failure("TSD-025", {
        path,
        address: "an address of its own",
        host: "another host",
        runs: "runs now",
        why: `the file belongs to another user, uid ${found.uid}`,
        template: "scheduler-{job_id}.json",
      });
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (systemCode(error) === "ENOENT") return { state: "free" };
    throw unwritable(path, error);
  }
  const { probeCluster } = await import("./live-cluster.ts");
  const probe = await probeCluster(path, { deadline });
  const { state, why } = probe;
  if (state === "gone") return { state: "stale", why };
  const { address, tsdask } = probe.file;
  if (state === "unknown" && tsdask !== undefined && (await isOver?.(tsdask))) return { state: "stale", why };
  const runs = state === "live" ? "runs now" : mayRun;
  const host = tsdask?.host ?? "another host";
  throw new Failure("TSD-025", { path, address, host, runs, why, template: "scheduler-{job_id}.json" });
}
