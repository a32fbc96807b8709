import { Failure } from "../errors/failure.ts";

/** An address as Dask writes it, `tls://10.0.0.1:8786`, in its parts; IPv6 hosts without their brackets. */
export interface DaskAddress {
  readonly protocol: string;
  readonly host: string;
  readonly port: number;
}

/** Takes an address of Dask's apart; `tcp` when it names no protocol. Throws TSD-086 when it is none. */
export function parseAddress(address: string): DaskAddress {
  const match = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:\[([0-9a-fA-F:.%\w]+)\]|([^:/\s[\]]+)):(\d{1,5})$/.exec(
    address.trim(),
  );
  const port = Number(match?.[4]);
  if (match === null || port < 1 || port > 65535) throw new Failure("TSD-086", { address });
  return { protocol: match[1] ?? "tcp", host: match[2] ?? match[3] ?? "", port };
}

/** `host:port`, with brackets around an IPv6 address. */
export function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether an address is of this host alone (`127.…`, `::1`, `localhost`). */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\./.test(host) || /^::ffff:127\./i.test(host);
}
