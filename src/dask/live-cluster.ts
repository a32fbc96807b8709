import { Failure } from "../errors/failure.ts";
import { ownerLives, readOwner } from "../launcher/folder-owner.ts";
import { clusterFiles, readClusterCredentials, readClusterToken } from "../security/cluster-folder.ts";
import { systemCode } from "../security/file-problems.ts";
import { refuseReplaceable, type Trust } from "../security/trusted-file.ts";
import { isLoopback, parseAddress } from "./address.ts";
import { lineTrouble, type TlsCredentials } from "./comm.ts";
import { readSchedulerFile } from "./read-scheduler-file.ts";
import { identity } from "./rpc.ts";
import type { ClusterRecord, SchedulerFile } from "./scheduler-file.ts";

/** Whether the cluster that a scheduler.json names is there, or cannot be reached from here, which says nothing. */
export type Probe =
  | { readonly state: "gone"; readonly why: string }
  | { readonly state: "live" | "unknown"; readonly file: SchedulerFile; readonly why: string };

/**
 * Asks the scheduler that the file at `path` names who it is. `gone` when another one answers, when its rank 0 is a
 * process of this machine that is no more, or when nobody answers and the file is no tsdask-mpi's; `live` also when
 * something accepts the connection and stays silent for all of `deadline` (ms): a busy scheduler must not be taken for
 * a dead one. One of another host to which there is no way is `unknown`: a firewall may have closed the way.
 */
export async function probeCluster(path: string, { deadline }: { readonly deadline: number }): Promise<Probe> {
  try {
    return await probeScheduler(await readSchedulerFile(path, "anyone"), deadline);
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

/**
 * The token that opens a cluster's pages: Jupyter has one without security, too, which may be another user's there.
 * Throws TSD-073 and TSD-074.
 */
export async function pagesToken({
  folder,
  jupyter,
  security,
}: Pick<ClusterRecord, "folder" | "jupyter" | "security">): Promise<string | undefined> {
  if (security === "tls") return readClusterToken(folder);
  if (jupyter === null || jupyter.hub === true) return undefined;
  return readClusterToken(folder).catch((error: unknown) => {
    if (error instanceof Failure) return undefined;
    throw error;
  });
}

async function credentialsIn({ tsdask }: Pick<SchedulerFile, "tsdask">): Promise<TlsCredentials | undefined> {
  return tsdask?.security === "tls" ? readClusterCredentials(tsdask.folder) : undefined;
}

async function probeScheduler(file: SchedulerFile, deadline: number): Promise<Probe> {
  const rankZero = rankZeroOf(file);
  if (rankZero === "replaced") return { state: "gone", why: "another launch has its folder" };
  const { answer, why } =
    rankZero === "elsewhere" && isLoopback(parseAddress(file.address).host)
      ? ({ answer: "none", why: `${file.address} is an address of another host for itself` } as const)
      : await ask(file, deadline);
  if (answer === "itself" || rankZero === "lives") return { state: "live", file, why };
  if (answer === "another" || rankZero === "gone") return { state: "gone", why };
  return { state: "unknown", file, why };
}

/**
 * What the files here say of a cluster's rank 0: `gone` also where its folder is not there any more, and for a plain
 * Dask's or dask-mpi's file, which those write over as well, and which has no folder to lose; `replaced` where this
 * launch has taken its folder over.
 */
function rankZeroOf({ tsdask }: SchedulerFile): "lives" | "gone" | "replaced" | "elsewhere" {
  if (tsdask === undefined) return "gone";
  const owner = readOwner(tsdask.folder);
  if (owner === undefined) return "gone";
  const lives = ownerLives(owner);
  if (lives === true && owner.pid === process.pid) return "replaced";
  if (owner.pid !== tsdask.pid || owner.host !== tsdask.host) return "gone";
  if (lives === undefined) return "elsewhere";
  return lives ? "lives" : "gone";
}

interface Answer {
  readonly answer: "itself" | "another" | "none";
  readonly why: string;
}

async function ask(file: SchedulerFile, deadline: number): Promise<Answer> {
  const { address, id } = file;
  try {
    const found = await identity({ address, tls: await credentialsIn(file) }, { deadline });
    return found.id === id
      ? { answer: "itself", why: "its scheduler answers" }
      : { answer: "another", why: `another scheduler listens at ${address} now` };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const line = lineTrouble(error);
    if (line?.trouble === "silent" && line.stage !== "connect")
      return { answer: "itself", why: "something listens at its address and is too busy to answer" };
    return { answer: isAnother.has(error.code) ? "another" : "none", why: firstLine(error) };
  }
}

/** Its own scheduler takes the credentials in its folder, and speaks Dask's wire. */
const isAnother: ReadonlySet<string> = new Set(["TSD-076", "TSD-077"]);

const firstLine = (failure: Failure): string => failure.message.split("\n", 1)[0] ?? failure.message;
