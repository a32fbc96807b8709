import { lstat } from "node:fs/promises";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { systemCode, unwritable } from "../security/file-problems.ts";

/** Whose a scheduler.json is that lies where ours should go. */
export type Claim = { readonly state: "free" } | { readonly state: "stale"; readonly why: string };

/**
 * Looks at what lies at `path` before a launch writes there: nothing, or the file of a cluster that is gone, may be
 * replaced. Throws TSD-025 when the cluster it names is alive. Loads Dask's wire only when there is a file.
 */
export async function claimSchedulerFile(
  path: string,
  { deadline = deadlines.liveCluster }: { readonly deadline?: number } = {},
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
  if (probe.state !== "live") return { state: "stale", why: probe.why };
  const { address, host = "another host", why } = probe;
  throw new Failure("TSD-025", { path, address, host, why, template: "scheduler-{job_id}.json" });
}
