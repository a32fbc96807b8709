import { isIP } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { deadlines } from "../deadlines.ts";
import { parseAddress } from "../dask/address.ts";
import { Failure } from "../errors/failure.ts";
import { whyUnreachable } from "../net/connection-check.ts";

/**
 * Looks, a while after a host of several heard of the scheduler, whether it can be reached from there: a worker that
 * cannot tries on and on without a word. Resolves to TSD-165, or to undefined when it can be: a worker of the host has
 * been there (`reached`), or a connection succeeds, which under TLS makes Dask warn of somebody who did not shake
 * hands.
 */
export async function schedulerTrouble(
  address: string,
  host: string,
  reached: () => boolean,
): Promise<Failure | undefined> {
  await pause(deadlines.schedulerReached, undefined, { ref: false });
  if (reached()) return undefined;
  const { protocol, host: name, port } = parseAddress(address);
  if (protocol !== "tcp" && protocol !== "tls") return undefined;
  const problem = await whyUnreachable(name, port, deadlines.hubConnect);
  return problem === undefined ? undefined : new Failure("TSD-165", { host, address, problem });
}

/**
 * Throws TSD-160 when every rank would listen at an address that is one host's (or each host's own), and the ranks are
 * on several.
 */
export function refuseLoopback({
  host,
  interface: network,
  size,
  localSize,
}: {
  readonly host: string | undefined;
  readonly interface: string | undefined;
  readonly size: number;
  readonly localSize: number | undefined;
}): void {
  if (localSize === undefined || localSize >= size) return;
  const bare = host?.replace(/^\[|\]$/g, "") ?? "";
  const everywhere = ["0.0.0.0", "::"].includes(bare);
  if (bare === "localhost" || (isIP(bare) !== 0 && !everywhere))
    throw new Failure("TSD-160", { option: `--host ${host}`, address: host, size });
  if (network === "lo") throw new Failure("TSD-160", { option: "--interface lo", address: "127.0.0.1", size });
}
