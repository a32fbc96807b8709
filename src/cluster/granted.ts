import { readFileSync } from "node:fs";
import type { Granted, Grants } from "../batch/granted.ts";
import { describeJob } from "../batch/job.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";

/**
 * What this job was granted on each host, for rank 0 to tell: hosts that the launcher reached over ssh have none of the
 * job's variables. Only a launch on several hosts asks; a batch system that does not answer is a warning (TSD-140).
 * Never rejects.
 */
export async function hostGrants({
  env,
  multiHost,
  warn,
}: {
  readonly env: NodeJS.ProcessEnv;
  readonly multiHost: boolean;
  readonly warn: (failure: Failure) => void;
}): Promise<(host: string) => Granted | undefined> {
  const { system, jobId } = describeJob(env);
  if (!multiHost || jobId === undefined) return () => undefined;
  const { jobGrants, shortHost } = await import("../batch/granted.ts");
  const shell = async () => (await import("../batch/run.ts")).commandShell({ env, deadline: deadlines.grants });
  const grants: Grants = await jobGrants({ env, read: textOf, shell }).catch((error: unknown) => {
    const problem = error instanceof Failure ? (error.message.split("\n", 1)[0] ?? "") : String(error);
    warn(new Failure("TSD-140", { system, job: jobId, problem }));
    return new Map();
  });
  return (host) => grants.get(shortHost(host));
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Grid Engine's file is on the job's first host only; without it this host knows no more than the others.
    return undefined;
  }
}
