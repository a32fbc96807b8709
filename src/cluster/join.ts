import { setTimeout as pause } from "node:timers/promises";
import type { Options } from "../config/options.ts";
import type { Credentials } from "../protocol/messages.ts";
import { credentialsFor } from "../dask/live-cluster.ts";
import { refuseOpen } from "../dask/open-cluster.ts";
import { readSchedulerFile } from "../dask/read-scheduler-file.ts";
import { identity } from "../dask/rpc.ts";
import { Failure } from "../errors/failure.ts";
import { readClusterToken } from "../security/cluster-folder.ts";
import type { SchedulerFacts } from "./launch.ts";

/** A running cluster that this launch's workers join, and what opens its doors. */
export interface JoinedCluster {
  readonly scheduler: SchedulerFacts;
  readonly credentials: Credentials | null;
  readonly token: string | null;
}

/** The scheduler is asked this often (ms) while it is not up yet, and given this long to answer. */
const askEvery = 500;
const answerWithin = 3_000;

/**
 * Finds the cluster to join, from an address or from its `scheduler.json`, and waits for it to be up: jobs may start in any
 * order. `site` are the site's own certificates, if it has any. Throws TSD-057 when it is not up within `--start-timeout`, TSD-120 when its
 * file cannot be believed, TSD-121 when that names a cluster without TLS and nobody said `--security none`.
 */
export async function findCluster(
  options: Options,
  schedulerFile: string,
  site: Credentials | null,
): Promise<JoinedCluster> {
  const until = performance.now() + options.startTimeout * 1000;
  let problem: string;
  do {
    try {
      return await look(options, schedulerFile, site);
    } catch (error) {
      // A file that must not be believed is not waited for: nobody mends it meanwhile.
      if (!(error instanceof Failure) || error.code === "TSD-120" || error.code === "TSD-121") throw error;
      problem = error.message.split("\n", 1)[0] ?? error.message;
    }
    await pause(askEvery);
  } while (performance.now() < until);
  throw new Failure("TSD-057", { seconds: options.startTimeout, problem, path: schedulerFile });
}

async function look(options: Options, schedulerFile: string, site: Credentials | null): Promise<JoinedCluster> {
  const given = options.schedulerAddress;
  const file =
    given === undefined ? await readSchedulerFile(schedulerFile, { shared: options.trustSharedFolder }) : undefined;
  if (file !== undefined) refuseOpen(schedulerFile, file, options.security);
  const address = given ?? file?.address ?? "";
  const own = file === undefined ? undefined : await credentialsFor(file);
  const credentials =
    site ?? (own === undefined ? null : { ca: String(own.ca), cert: String(own.cert), key: String(own.key) });
  // Only Dask's own processes can speak UCX and the like: such a scheduler is taken on trust.
  const facts = /^(tcp|tls):/.test(address)
    ? await identity({ address, tls: credentials ?? undefined }, { deadline: answerWithin })
    : {};
  const token = file?.tsdask?.security === "tls" ? await readClusterToken(file.tsdask.folder) : null;
  return {
    scheduler: { address, identity: facts, dashboard: null, host: file?.tsdask?.host ?? address },
    credentials,
    token,
  };
}
