import { Failure } from "../errors/failure.ts";
import { clusterFiles, readClusterCredentials } from "../security/cluster-folder.ts";
import { systemCode } from "../security/file-problems.ts";
import { refuseReplaceable, type Trust } from "../security/trusted-file.ts";
import { lineTrouble, type TlsCredentials } from "./comm.ts";
import { readSchedulerFile } from "./read-scheduler-file.ts";
import { identity } from "./rpc.ts";
import type { SchedulerFile } from "./scheduler-file.ts";

/** Whether the cluster that a scheduler.json names is there. */
export type Probe =
  | { readonly state: "live"; readonly address: string; readonly host: string | undefined; readonly why: string }
  | { readonly state: "gone"; readonly why: string };

/**
 * Asks the scheduler that the file at `path` names who it is. `gone` when it does not answer as the one in the file;
 * `live` also when something accepts the connection and stays silent for all of `deadline` (ms): a busy scheduler must
 * not be taken for a dead one.
 */
export async function probeCluster(path: string, { deadline }: { readonly deadline: number }): Promise<Probe> {
  try {
    const file = await readSchedulerFile(path, "anyone");
    return await probeScheduler(file, await credentialsIn(file), deadline);
  } catch (error) {
    if (error instanceof Failure) return { state: "gone", why: firstLine(error) };
    throw error;
  }
}

/**
 * The credentials that open the cluster of a scheduler.json: none for a plain or insecure one. Their folder, and every
 * folder on the way to it, must be one in which nobody else can put others in their place. Throws TSD-073, TSD-074, and
 * TSD-120.
 */
export async function credentialsFor(
  { tsdask }: SchedulerFile,
  trust: Trust = {},
): Promise<TlsCredentials | undefined> {
  if (tsdask?.security !== "tls") return undefined;
  const { key } = clusterFiles(tsdask.folder);
  try {
    refuseReplaceable(key, trust);
  } catch (error) {
    // Another user's cluster, whose file he has opened to others.
    if (systemCode(error) !== "EACCES") throw error;
    throw new Failure("TSD-074", { path: key, problem: "it may not be read by you" }, { cause: error });
  }
  return credentialsIn({ tsdask });
}

async function credentialsIn({ tsdask }: Pick<SchedulerFile, "tsdask">): Promise<TlsCredentials | undefined> {
  return tsdask?.security === "tls" ? readClusterCredentials(tsdask.folder) : undefined;
}

async function probeScheduler(file: SchedulerFile, tls: TlsCredentials | undefined, deadline: number): Promise<Probe> {
  const { address } = file;
  const live = (why: string): Probe => ({ state: "live", address, host: file.tsdask?.host, why });
  try {
    const found = await identity({ address, tls }, { deadline });
    if (found.id === file.id) return live("its scheduler answers");
    return { state: "gone", why: `another scheduler listens at ${address} now` };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const line = lineTrouble(error);
    if (line?.trouble === "silent" && line.stage !== "connect")
      return live("something listens at its address and is too busy to answer");
    return { state: "gone", why: firstLine(error) };
  }
}

const firstLine = (failure: Failure): string => failure.message.split("\n", 1)[0] ?? failure.message;
