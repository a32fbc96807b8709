import { lookupService } from "node:dns/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { deadlines } from "../deadlines.ts";

/**
 * The names of hosts by their addresses, without their domains; an address without a name, or whose name does not come
 * soon, is left out.
 */
export async function hostNames(addresses: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  const asking = [...new Set(addresses)].map(async (address) => {
    const { hostname } = await lookupService(address, 22);
    if (hostname !== address) names.set(address, hostname.split(".")[0] ?? hostname);
  });
  await Promise.race([Promise.allSettled(asking), sleep(deadlines.hostNames, undefined, { ref: false })]);
  return names;
}
