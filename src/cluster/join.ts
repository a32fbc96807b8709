import { setTimeout as pause } from "node:timers/promises";
import type { Options } from "../config/options.ts";
import type { Credentials, PythonReport } from "../protocol/messages.ts";
import { credentialsFor } from "../dask/live-cluster.ts";
import { refuseOpen } from "../dask/open-cluster.ts";
import { readSchedulerFile } from "../dask/read-scheduler-file.ts";
import { lineTrouble } from "../dask/comm.ts";
import { identity, versions, type SchedulerEndpoint } from "../dask/rpc.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { readClusterToken } from "../security/cluster-folder.ts";
import type { SchedulerFacts } from "./state.ts";

/** A running cluster that this launch's workers join, and what opens its doors. */
export interface JoinedCluster {
  readonly scheduler: SchedulerFacts;
  readonly credentials: Credentials | null;
  readonly token: string | null;
  /** What its scheduler runs, where it could be asked. */
  readonly versions: ClusterVersions | undefined;
  /** Its scheduler is started again when it dies. */
  readonly returns: boolean;
  /** The name of its launch, where its file says it. */
  readonly launch: string | undefined;
}

export interface ClusterVersions {
  /** `3.11` */
  readonly python: string;
  readonly distributed: string;
}

/** The scheduler is asked this often (ms) while it is not up yet. */
const askEvery = 500;
/** So many refused connections in a row are the end of a cluster whose file is there. */
const refusalsBelieved = 4;

/**
 * Finds the cluster to join, from an address or from its `scheduler.json`, and waits for it to be up: jobs may start in
 * any order. `site` are the site's own certificates, if it has any. Throws TSD-057 when it is not up within
 * `--start-timeout`, TSD-087 when its file is there and its address refuses, TSD-120 when its file cannot be believed,
 * TSD-121 when that names a cluster without TLS and nobody said `--security none`.
 */
export async function findCluster(
  options: Options,
  schedulerFile: string,
  site: Credentials | null,
): Promise<JoinedCluster> {
  const until = performance.now() + options.startTimeout * 1000;
  let problem: string;
  let refusals = 0;
  let address: string | number | undefined;
  do {
    try {
      return await look(options, schedulerFile, site);
    } catch (error) {
      // A file that must not be believed is not waited for: nobody mends it meanwhile.
      if (!(error instanceof Failure) || error.code === "TSD-120" || error.code === "TSD-121") throw error;
      // Its host answers, and nothing listens there: that file's cluster is over, whoever will start the next.
      const gone = options.schedulerAddress === undefined && lineTrouble(error)?.trouble === "refused";
      refusals = gone ? refusals + 1 : 0;
      address = error.facts["address"];
      problem = error.facts["problem"] === undefined ? "" : String(error.facts["problem"]);
      problem ||= error.message.split("\n", 1)[0] ?? error.message;
    }
    if (refusals >= refusalsBelieved) throw new Failure("TSD-087", { path: schedulerFile, address, problem });
    await pause(askEvery);
  } while (performance.now() < until);
  throw new Failure("TSD-057", { seconds: options.startTimeout, problem, path: schedulerFile });
}

async function look(options: Options, schedulerFile: string, site: Credentials | null): Promise<JoinedCluster> {
  const given = options.schedulerAddress;
  const trust = { shared: options.trustSharedFolder };
  const file = given === undefined ? await readSchedulerFile(schedulerFile, trust) : undefined;
  if (file !== undefined) refuseOpen(schedulerFile, file, options.security);
  const address = given ?? file?.address ?? "";
  const own = file === undefined ? undefined : await credentialsFor(file, trust);
  const credentials =
    site ?? (own === undefined ? null : { ca: String(own.ca), cert: String(own.cert), key: String(own.key) });
  // Only Dask's own processes can speak UCX and the like: such a scheduler is taken on trust.
  const facts = /^(tcp|tls):/.test(address)
    ? await identity({ address, tls: credentials ?? undefined }, { deadline: deadlines.joinedScheduler })
    : {};
  const versions = /^(tcp|tls):/.test(address)
    ? await versionsOf({ address, tls: credentials ?? undefined })
    : undefined;
  const token = file?.tsdask?.security === "tls" ? await readClusterToken(file.tsdask.folder) : null;
  return {
    scheduler: { address, identity: facts, dashboard: null, host: file?.tsdask?.host ?? address },
    credentials,
    token,
    versions,
    returns: file?.tsdask?.schedulerReturns === true,
    launch: file?.tsdask?.launch,
  };
}

/**
 * Waits for the scheduler of a joined cluster, which is started again; resolves to its address, or to undefined when it
 * does not come back.
 */
export async function schedulerBack(
  { scheduler: { address }, credentials, launch }: JoinedCluster,
  options: Options,
  schedulerFile: string,
): Promise<string | undefined> {
  const until = performance.now() + deadlines.schedulerBack;
  while (performance.now() < until && (await isPublished(launch, options, schedulerFile))) {
    try {
      await identity({ address, tls: credentials ?? undefined }, { deadline: deadlines.joinedScheduler });
      return address;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
    await pause(askEvery);
  }
  return undefined;
}

/** Whether the cluster's file still is this launch's; it goes with the cluster's end. */
async function isPublished(launch: string | undefined, options: Options, schedulerFile: string): Promise<boolean> {
  try {
    const { tsdask } = await readSchedulerFile(schedulerFile, { shared: options.trustSharedFolder });
    return tsdask?.launch === launch;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

/** What a scheduler runs; undefined where it does not say so. Never rejects. */
async function versionsOf(scheduler: SchedulerEndpoint): Promise<ClusterVersions | undefined> {
  try {
    const { packages } = await versions(scheduler, { deadline: deadlines.joinedScheduler });
    const { python, distributed } = packages;
    if (!python || !distributed) return undefined;
    return { python: python.split(".").slice(0, 2).join("."), distributed };
  } catch {
    // It has answered once; that it does not say this is no reason to stay away.
    return undefined;
  }
}

/**
 * What of the hosts' Pythons differs from the cluster's in a way that tasks and messages do not survive; undefined:
 * nothing.
 */
export function otherVersions(cluster: ClusterVersions, reports: readonly PythonReport[]): string | undefined {
  for (const { host, python, distributed, executable } of reports) {
    const minor = python.split(".").slice(0, 2).join(".");
    if (minor !== cluster.python || distributed !== cluster.distributed)
      return `the cluster has Python ${cluster.python} with distributed ${cluster.distributed}, ${executable} on ${host} is Python ${minor} with distributed ${distributed}`;
  }
  return undefined;
}
