import { lookup, lookupService } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { deadlines } from "../deadlines.ts";
import { startTrouble } from "../rank/start-trouble.ts";
import { Failure } from "../errors/failure.ts";
import { refuseLoopback } from "../host/connection-check.ts";
import { interfaceAddresses, listeningAddress, type InterfaceAddress } from "../net/interfaces.ts";
import { checked, fine, message, type Row } from "./row.ts";
import type { DoctorContext } from "./context.ts";

/** This host's name and addresses, and the one that others would be told. */
export async function hostRows({ host, options, world }: DoctorContext): Promise<Row[]> {
  const known = interfaceAddresses();
  const single = world === undefined || world.localSize === world.size;
  return [
    await checked("hosts", "address", async () => {
      await refuseForeign(options.host, host, known);
      refuseLoopback({ ...options, size: world?.size ?? 1, localSize: world?.localSize });
      const address = listeningAddress({ interface: options.interface, singleHost: single, addresses: known });
      const one = known.find((other) => other.address === address);
      return fine(
        "hosts",
        "address",
        `${options.host ?? address}${one === undefined ? "" : ` (${one.name}${speedOf(one)})`}`,
      );
    }),
    kindsRow(known),
    await checked("hosts", "name", () => nameRow(host, options.contact === "hostname", known)),
  ];
}

async function nameRow(host: string, needed: boolean, known: readonly InterfaceAddress[]): Promise<Row> {
  const found = await Promise.race([
    lookup(host, { all: true }).catch(() => []),
    pause(deadlines.doctorName, undefined, { ref: false }),
  ]);
  if (found === undefined)
    return {
      group: "hosts",
      name: "name",
      state: "warning",
      text: `the name service did not answer for ${host} within ${deadlines.doctorName / 1000} s`,
      cause: "The name server that /etc/resolv.conf names is slow or gone.",
      cure: "Ask the site; launches use addresses, but ssh, batch commands and imports may hang for it.",
    };
  const own = found.find(({ address }) => known.some((one) => one.address === address && !one.internal));
  if (own !== undefined)
    return fine("hosts", "name", `${host} is ${own.address}, ${await backText(host, own.address)}`);
  const problem = found.length === 0 ? "it is not known" : `it is ${found.map(({ address }) => address).join(", ")}`;
  return needed
    ? message("hosts", "name", "TSD-064", { host, problem })
    : fine("hosts", "name", `${host} (${problem}; addresses are used)`);
}

/** Throws TSD-050 for a --host that is none of this host's addresses, as its scheduler would when it listens there. */
async function refuseForeign(
  requested: string | undefined,
  host: string,
  known: readonly InterfaceAddress[],
): Promise<void> {
  if (requested === undefined || requested === "0.0.0.0" || requested === "::") return;
  const found = await lookup(requested, { all: true }).catch(() => []);
  if (found.some(({ address }) => address.startsWith("127.") || known.some((one) => one.address === address))) return;
  throw new Failure("TSD-050", {
    rank: 0,
    host,
    why: found.length === 0 ? `--host ${requested} is not known` : `--host ${requested} is not an address of this host`,
    ...startTrouble("address"),
  });
}

/** The other way round: what the name service says of an address. Programs that log in by names want both to agree. */
async function backText(host: string, address: string): Promise<string> {
  const back = await Promise.race([
    // The port is part of the question, and of no importance.
    lookupService(address, 22).then(
      ({ hostname }) => hostname,
      () => address,
    ),
    pause(deadlines.doctorName, undefined, { ref: false }),
  ]);
  if (back === undefined) return "and nobody answers for the way back";
  if (back === address) return "which has no name the other way round";
  const short = (name: string): string => name.split(".", 1)[0]?.toLowerCase() ?? "";
  return short(back) === short(host) ? "both ways" : `which is ${back} the other way round`;
}

/** Which kinds of addresses this host has beside its loopback. */
function kindsRow(known: readonly InterfaceAddress[]): Row {
  const outside = known.filter(({ internal }) => !internal);
  const has = (six: boolean): boolean => outside.some(({ address }) => address.includes(":") === six);
  const kinds = [...(has(false) ? ["IPv4"] : []), ...(has(true) ? ["IPv6"] : [])];
  return fine("hosts", "kinds", kinds.length === 0 ? "no address but its loopback's" : kinds.join(" and "));
}

function speedOf({ name }: InterfaceAddress): string {
  try {
    const megabits = Number(readFileSync(`/sys/class/net/${name}/speed`, "latin1"));
    return megabits > 0 ? `, ${megabits >= 1000 ? `${megabits / 1000} Gbit/s` : `${megabits} Mbit/s`}` : "";
  } catch {
    // Virtual interfaces have none.
    return "";
  }
}
