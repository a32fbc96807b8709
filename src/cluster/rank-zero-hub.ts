import { hostname } from "node:os";
import { Failure } from "../errors/failure.ts";
import { controlVersion } from "../protocol/messages.ts";
import { openHub } from "../rendezvous/hub.ts";
import { shortName } from "../launcher/host-paths.ts";
import type { World } from "../launcher/world.ts";
import { announceHub, type HubExchange } from "../rendezvous/exchange.ts";
import { publishRecord } from "../rendezvous/record.ts";
import { watchForNotes } from "../rendezvous/unreachable.ts";
import { randomToken } from "../security/tokens.ts";
import { hostPort } from "../dask/address.ts";
import { clockTrouble } from "./clocks.ts";
import type { RankZero } from "./rank-zero.ts";

/**
 * Opens the hub for the leaders of the other hosts and tells them where it is: through the launcher's key-value store
 * where there is one, and by a record in the cluster folder. Throws TSD-030 to TSD-033 and TSD-072.
 */
export async function openRankZeroHub({
  world,
  zero,
  key,
  folder,
  addresses,
  usePmi,
  useFile,
  tls,
  startTimeout,
}: {
  readonly world: World;
  readonly zero: RankZero;
  readonly key: string;
  readonly folder: string;
  readonly addresses: readonly string[];
  readonly usePmi: boolean;
  readonly useFile: boolean;
  /** Whether Dask's own connections have certificates, which are valid for a time only. */
  readonly tls: boolean;
  /** Seconds. */
  readonly startTimeout: number;
}): Promise<{ readonly close: () => void; readonly finalize: () => Promise<void> }> {
  const hubCertificate = await zero.hubCertificate;
  if (hubCertificate === undefined) throw new Error("the hub has no certificate");
  const launch = shortName(key);
  const secret = randomToken();
  const exchange = Promise.withResolvers<HubExchange | undefined>();
  exchange.promise.catch(() => undefined);
  const hub = await openHub({
    launch,
    size: world.size,
    ...hubCertificate,
    keysOf: async (rank) => [...(useFile ? [secret] : []), ...((await (await exchange.promise)?.keysOf(rank)) ?? [])],
    onRefused: (counts) => zero.log.warn("connections to the hub were refused", { ...counts }),
    onHost: (channel, host, rank, { ahead, version }) => {
      zero.launch.attach(channel, host, rank);
      if (version !== controlVersion) zero.launch.fail(new Failure("TSD-196", { rank, host, zero: hostname() }));
      const trouble = clockTrouble({ host, zero: hostname(), ahead, tls });
      if (trouble?.exitCode === 0) zero.warn(trouble);
      else if (trouble !== undefined) zero.launch.fail(trouble);
    },
  });
  const where = {
    launch,
    addresses: addresses.map((address) => hostPort(address, hub.port)),
    fingerprint: hubCertificate.fingerprint,
  };
  try {
    if (useFile) await publishRecord(folder, { v: 1, ...where, pid: process.pid, host: hostname(), secret });
    exchange.resolve(usePmi ? await announceHub(world, where, startTimeout) : undefined);
  } catch (error) {
    exchange.reject(error);
    hub.close();
    throw error;
  }
  const told = await exchange.promise;
  const unwatch = watchForNotes(folder, startTimeout, zero.launch.fail);
  const close = (): void => {
    unwatch();
    hub.close();
  };
  return { close, finalize: async () => told?.finalize() };
}
