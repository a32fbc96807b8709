import { hostname } from "node:os";
import { withSiteHere } from "../batch/job.ts";
import { commandShell } from "../batch/run.ts";
import type { BatchName } from "../batch/system.ts";
import { VERSION } from "../config/version.ts";
import { deadlines } from "../deadlines.ts";
import { madeName } from "./names.ts";
import { pendingLaunch, writeEntry } from "./write.ts";

/**
 * Writes a job that will be a cluster into the user's list, as pending; the launch takes its place when it begins. A
 * list that cannot be written keeps nobody from submitting: nothing is thrown.
 */
export async function registerSubmission({
  system,
  id,
  name,
  cwd,
  env,
}: {
  readonly system: BatchName;
  readonly id: string;
  readonly name: string | undefined;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}): Promise<void> {
  const job = await withSiteHere({ system, id }, commandShell({ env, deadline: deadlines.connectCommand }));
  const launch = pendingLaunch(job);
  await writeEntry(
    {
      format: 1,
      name: name ?? madeName(launch),
      launch,
      version: VERSION,
      state: "pending",
      started: Date.now() / 1000,
      pid: 0,
      startTime: "",
      host: hostname(),
      machine: "",
      hosts: [],
      ranks: 0,
      workers: 0,
      cwd,
      folder: cwd,
      security: "tls",
      job,
      grace: 0,
    },
    env,
  ).catch(() => undefined);
}
