import type { Credentials, RankEvent } from "../../src/protocol/messages.ts";
import type { Authority } from "../../src/security/certificates.ts";

/** What a process uses, in bytes, after a garbage collection. */
export interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
}

/** What bench/scale.ts tells the hub's process. */
export type Order =
  | { readonly t: "address" }
  | { readonly t: "own-workers" }
  | { readonly t: "end" }
  | { readonly t: "leave" };

/** What the hub's process tells; times are milliseconds of the machine's monotonic clock. */
export type Report =
  | { readonly t: "open"; readonly port: number; readonly fingerprint: string; readonly memory: Memory }
  | { readonly t: "all-hosts"; readonly at: number; readonly memory: Memory }
  | { readonly t: "address-sent"; readonly at: number }
  | { readonly t: "all-workers"; readonly at: number; readonly registered: number; readonly memory: Memory }
  | { readonly t: "end-sent"; readonly at: number }
  | { readonly t: "finished"; readonly at: number }
  | { readonly t: "failure"; readonly text: string };

/** What a process of simulated hosts is told, and what it tells. */
export type HostsOrder =
  | { readonly t: "connect"; readonly port: number; readonly fingerprint: string }
  | { readonly t: "workers" };
export type HostsReport =
  | { readonly t: "connected"; readonly at: number }
  | { readonly t: "told"; readonly at: number; readonly ranks: number }
  | { readonly t: "ended"; readonly at: number };

/** The facts of the simulated launch. */
export const fakeHub = {
  launch: "benchmark",
  secret: "0123456789abcdef0123456789abcdef0123456789a",
  address: "tls://10.0.0.1:34567",
  workerReady: (rank: number): RankEvent => ({
    k: "worker-ready",
    address: `tls://10.${(rank >> 16) & 255}.${(rank >> 8) & 255}.${rank & 255}:40000`,
    name: `tsdask-benchmark-${rank}`,
    dashboard: 40001,
    nthreads: 4,
    memoryLimit: 2 ** 34,
    pid: 1000 + rank,
  }),
};

/** The ranks of a host, when each host has `perHost` in a row. */
export function ranksOfHost(host: number, perHost: number): number[] {
  return Array.from({ length: perHost }, (_, index) => host * perHost + index);
}

/** The credentials that every leader is sent, as large as real ones. */
export async function clusterCredentials(authority: Authority): Promise<Credentials> {
  const dask = await authority.issue({
    name: "dask",
    dnsNames: ["localhost"],
    addresses: ["127.0.0.1"],
    server: true,
    client: true,
  });
  return { ca: authority.certificate, ...dask };
}
