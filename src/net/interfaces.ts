import { networkInterfaces } from "node:os";
import { BlockList, isIP } from "node:net";
import { Failure } from "../errors/failure.ts";

/** One address of one network interface of this host. */
export interface InterfaceAddress {
  readonly name: string;
  readonly address: string;
  readonly family: "IPv4" | "IPv6";
  /** Address and prefix length, `10.0.0.1/24`. */
  readonly cidr: string | null;
  /** Whether it is a loopback address. */
  readonly internal: boolean;
}

/**
 * Names of interfaces that lead to containers, virtual machines or a private tunnel, not to the other hosts of a job.
 */
const ASIDE =
  /^(docker|br-|virbr|veth|cni|flannel|cali|podman|lxc|lxd|vmnet|vnet|tun|tap|tailscale|wg|zt|dummy|kube|usb)/;
/** What one process of ours can be asked for at most: the addresses of this many interfaces are listed in a message. */
const MOST_LISTED = 24;

/** The addresses of this host's interfaces, as the system has them. */
export function interfaceAddresses(
  found: ReturnType<typeof networkInterfaces> = networkInterfaces(),
): readonly InterfaceAddress[] {
  return Object.entries(found).flatMap(([name, addresses]) =>
    (addresses ?? []).map(({ address, family, cidr, internal }) => ({
      name,
      address,
      family: family === "IPv6" ? ("IPv6" as const) : ("IPv4" as const),
      cidr,
      internal,
    })),
  );
}

/**
 * The address of a named interface, IPv4 first, never one of this link only. Throws TSD-027 with the interfaces there
 * are.
 */
export function addressOfInterface(
  name: string,
  addresses: readonly InterfaceAddress[] = interfaceAddresses(),
): string {
  const [best] = addresses.filter((one) => one.name === name && !isLinkLocal(one)).toSorted(byFamily);
  if (best !== undefined) return best.address;
  const known = addresses.some((one) => one.name === name);
  throw new Failure("TSD-027", {
    name,
    problem: known ? "it has no address that can be used" : "there is no such interface",
    list: listed(addresses),
  });
}

export interface ReachableQuery {
  /** Addresses of other hosts of the job, as numbers; names are left out. */
  readonly peers?: readonly string[];
  /** What this host's own name stands for (a look-up by the caller), as numbers. */
  readonly own?: readonly string[];
  readonly addresses?: readonly InterfaceAddress[];
}

/**
 * This host's addresses that others may reach it at, the likeliest first: those on one network with most of `peers`,
 * then those that the host's name stands for, then the rest, IPv4 before IPv6 and interfaces of containers and tunnels
 * last. Loopback and link-local ones are left out.
 */
export function reachableAddresses({
  peers = [],
  own = [],
  addresses = interfaceAddresses(),
}: ReachableQuery = {}): readonly string[] {
  const rank = (one: InterfaceAddress): number =>
    peersOnNetwork(one, peers) * 1000 +
    (own.includes(one.address) ? 100 : 0) +
    (one.family === "IPv4" ? 10 : 0) -
    (ASIDE.test(one.name) ? 500 : 0);
  return addresses
    .filter((one) => !one.internal && !isLinkLocal(one))
    .toSorted((a, b) => rank(b) - rank(a))
    .map((one) => one.address);
}

export interface Listening extends ReachableQuery {
  /** `--interface`, when given. */
  readonly interface?: string | undefined;
  /** Whether all ranks are on this host. */
  readonly singleHost: boolean;
}

/**
 * The address that a process of this host should listen at and be reached by: the named interface's; else the likeliest
 * one that other hosts reach; a host that has no other gets 127.0.0.1 if it is alone. Throws TSD-027 (no such
 * interface) and TSD-029 (no address for others).
 */
export function listeningAddress({ interface: name, singleHost, ...reach }: Listening): string {
  const addresses = reach.addresses ?? interfaceAddresses();
  if (name !== undefined) return addressOfInterface(name, addresses);
  const [best] = reachableAddresses({ ...reach, addresses });
  if (best !== undefined) return best;
  if (singleHost) return "127.0.0.1";
  throw new Failure("TSD-029", { list: listed(addresses) });
}

function peersOnNetwork({ cidr, family }: InterfaceAddress, peers: readonly string[]): number {
  const [network, prefix] = cidr?.split("/") ?? [];
  if (network === undefined || prefix === undefined) return 0;
  const list = new BlockList();
  const kind = family === "IPv4" ? "ipv4" : "ipv6";
  list.addSubnet(network, Number(prefix), kind);
  return peers.filter((peer) => isIP(peer) === (family === "IPv4" ? 4 : 6) && list.check(peer, kind)).length;
}

function isLinkLocal({ address }: InterfaceAddress): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address) || address.startsWith("169.254.");
}

const byFamily = (a: InterfaceAddress, b: InterfaceAddress): number => a.family.localeCompare(b.family);

/** `eth0 (10.0.0.1), lo (127.0.0.1)`. */
function listed(addresses: readonly InterfaceAddress[]): string {
  const usable = addresses.filter((one) => !isLinkLocal(one));
  const names = [...new Set(usable.map((one) => one.name))];
  const text = names.slice(0, MOST_LISTED).map(
    (name) =>
      `${name} (${usable
        .filter((one) => one.name === name)
        .map((one) => one.address)
        .join(", ")})`,
  );
  return text.length === 0 ? "none" : text.join(", ");
}
