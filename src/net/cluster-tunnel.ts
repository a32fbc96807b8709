import type { ClusterRecord, PageAddress } from "../dask/scheduler-file.ts";
import { isLoopback } from "../dask/address.ts";
import { isWildcard, pageLink, tunnel, type Service, type Tunnel, type TunnelKind } from "./tunnel.ts";

export interface ClusterTunnelRequest {
  readonly record: Pick<ClusterRecord, "launch" | "host" | "folder" | "dashboard" | "jupyter" | "tunnel">;
  readonly user: string;
  /** The launch's token, where the reader must be its owner. */
  readonly token?: string | undefined;
  /** The certificate that the cluster's pages show (PEM), where the reader has it. */
  readonly certificate?: string | undefined;
  /** What is said here and now goes before what the record says. */
  readonly kind?: TunnelKind | undefined;
  readonly login?: string | undefined;
}

/** The ssh lines and links of a cluster's pages, from its record; undefined when it has no page. Pure. */
export function clusterTunnel({
  record,
  user,
  token,
  certificate,
  kind,
  login,
}: ClusterTunnelRequest): Tunnel | undefined {
  const services = clusterServices(record);
  if (services.length === 0) return undefined;
  return tunnel({
    kind: kind ?? record.tunnel?.kind ?? "direct",
    services,
    user,
    login: login ?? record.tunnel?.login,
    launch: record.launch,
    token,
    certificate,
    folder: record.folder,
  });
}

/**
 * What people are told, line by line: what to type where, and what to open then.
 * `tokenHint` stands in for the token where the links had to go without it.
 */
export function tunnelLines({ onNode, onLaptop, links, notes }: Tunnel, tokenHint?: string): readonly string[] {
  const width = Math.max(...links.map(({ name }) => name.length));
  return [
    ...onNode.flatMap(({ node, line }) => [`on ${node}, first:`, `  ${line}`]),
    "on your own computer:",
    ...onLaptop.map((line) => `  ${line}`),
    "then open there:",
    ...links.map(({ name, url }) => `  ${name.padEnd(width)}  ${url}`),
    ...(tokenHint === undefined ? [] : [`  (${tokenHint})`]),
    ...notes.map((note) => `note: ${note}`),
  ];
}

/**
 * The link of a cluster's dashboard for a browser that reaches the cluster's network; undefined without a dashboard.
 * Pure.
 */
export function dashboardLink(
  { dashboard, host }: ClusterTunnelRequest["record"],
  token: string | undefined,
): string | undefined {
  if (dashboard === null) return undefined;
  const page = service("dashboard", dashboard, host, "/status");
  return pageLink(page, page.port, token, isWildcard(page.host) ? page.node : page.host);
}

/** The web pages of a cluster; none where a JupyterHub shows them. Pure. */
export function clusterServices({ host, dashboard, jupyter }: ClusterTunnelRequest["record"]): Service[] {
  if (jupyter?.hub === true) return [];
  if (jupyter !== null && jupyter.dashboard !== undefined)
    return [{ ...service("JupyterLab", jupyter, host, "/lab"), dashboard: jupyter.dashboard }];
  return [
    ...(jupyter === null ? [] : [service("JupyterLab", jupyter, host, "/lab")]),
    ...(dashboard === null ? [] : [service("dashboard", dashboard, host, "/status")]),
  ];
}

function service(name: Service["name"], place: PageAddress, fallback: string, path: string): Service {
  const named =
    place.host === "" || place.host === "0.0.0.0" || place.host === "::" || isLoopback(place.host)
      ? fallback
      : place.host;
  return {
    name,
    node: place.node ?? named,
    host: place.host,
    port: place.port,
    path: place.path ?? path,
    https: place.https === true,
  };
}
