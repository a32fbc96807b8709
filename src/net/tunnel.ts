import { createHash, X509Certificate } from "node:crypto";
import { hostPort, isLoopback } from "../dask/address.ts";

/**
 * How a laptop gets to the cluster: through the login host; by `ssh -J` to the compute node; or by a line that the
 * compute node opens itself.
 */
export type TunnelKind = "direct" | "jump" | "reverse";

/** A web page of the cluster: JupyterLab or Dask's dashboard. */
export interface Service {
  readonly name: "JupyterLab" | "dashboard";
  /** The compute node as other hosts know it. */
  readonly node: string;
  /** Where it listens on that node; a loopback address can be reached by `jump` and `reverse` only. */
  readonly host: string;
  readonly port: number;
  /** What stands behind `http://127.0.0.1:<port>`: `/lab`, `/status`. */
  readonly path: string;
  /** The path of the dashboard where this page's server shows it as well. */
  readonly dashboard?: string | undefined;
  /** Whether the page itself is served over TLS. */
  readonly https?: boolean;
}

export interface TunnelRequest {
  readonly kind: TunnelKind;
  readonly services: readonly Service[];
  /** Empty where nobody knows his name. */
  readonly user: string;
  /** The host that the laptop reaches with ssh, perhaps with `user@`; undefined when nobody knows. */
  readonly login: string | undefined;
  /** The launch's id: two launches get different local ports. */
  readonly launch: string;
  /** The launch's token, where the reader must be its owner; without it the links are shown bare. */
  readonly token?: string | undefined;
  /** The certificate that pages over TLS show (PEM), where it is known. */
  readonly certificate?: string | undefined;
  /** The cluster folder (0700), where the two lines of `reverse` meet if the login host sees it too. */
  readonly folder?: string | undefined;
}

export interface Tunnel {
  /** To be typed on a compute node first (`reverse` only): one `ssh` line per node. */
  readonly onNode: readonly { readonly node: string; readonly line: string }[];
  /** To be pasted on the laptop. */
  readonly onLaptop: readonly string[];
  readonly links: readonly { readonly name: Service["name"]; readonly url: string }[];
  /** A sentence about what was guessed, or cannot work as it is. */
  readonly notes: readonly string[];
}

/**
 * Local and login-host ports are chosen in this range, below those that systems give to outgoing connections (32768 and
 * up).
 */
const FIRST_PORT = 10_000;
const PAIRS = 10_000;
/** Loopback by its number, on every host that a line names it for. */
const HERE = "127.0.0.1";
/** The longest socket path that ssh takes: a byte less than Linux's, since it listens under a name of its own first. */
const LONGEST_SOCKET = 100;

/**
 * The ssh lines that lead from a laptop to the cluster's pages, and the links to open then. Pure.
 *
 * A port is never named by `localhost`: ssh(1) and browsers try `::1` first where the hosts file has it, and whoever
 * listens there would get the requests with their token. A line that cannot open all of its ports ends
 * (`ExitOnForwardFailure`).
 */
export function tunnel(request: TunnelRequest): Tunnel {
  const { services, launch, token } = request;
  const local = (service: Service): number => launchPort(launch, service.name);
  const links = services.flatMap((service) => {
    const { name, path, dashboard } = service;
    const shown = [
      { name, path },
      ...(dashboard === undefined ? [] : [{ name: "dashboard" as const, path: dashboard }]),
    ];
    return shown.map((page) => ({
      name: page.name,
      url: pageLink({ ...service, path: page.path }, local(service), token),
    }));
  });
  const loopback = services.some(({ host }) => isLoopback(host));
  const known = request.login !== undefined;
  const lines =
    request.kind === "reverse" && known
      ? reverse(request, local)
      : request.kind === "jump" || (loopback && request.kind === "direct")
        ? jump(request, local)
        : direct(request, local);
  return { ...lines, links, notes: [...lines.notes, ...certificateNote(request)] };
}

/**
 * The login host of a job: what the user or the site says (`option`), else the host it was submitted from, as the batch
 * system tells. PBS, Slurm, LSF, Grid Engine and LoadLeveler each have a variable for it.
 */
export function loginHost({
  option,
  env,
}: {
  readonly option?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}): string | undefined {
  const told = [
    option,
    ...["PBS_O_HOST", "SLURM_SUBMIT_HOST", "LSB_SUB_HOST", "SGE_O_HOST", "LOADL_SUBMIT_HOST"].map((name) => env[name]),
  ];
  return told.find((host) => host !== undefined && isHostName(host));
}

/**
 * A port of 10000 to 29999 that follows from the launch's id, so that two clusters of one user do not meet on their
 * laptop.
 */
export function launchPort(launch: string, name: Service["name"]): number {
  const hash = createHash("sha256").update(launch).digest().readUInt32BE(0);
  return FIRST_PORT + 2 * (hash % PAIRS) + (name === "JupyterLab" ? 0 : 1);
}

type Lines = Omit<Tunnel, "links">;
type LocalPort = (service: Service) => number;

function direct({ services, user, login }: TunnelRequest, local: LocalPort): Lines {
  const node = services[0]?.node ?? "";
  const forwards = services.map(
    (service) =>
      `-L ${HERE}:${local(service)}:${hostPort(login === undefined ? nearest(service) : target(service), service.port)}`,
  );
  const notes =
    login === undefined
      ? [`nobody told the login host; if ${node} cannot be reached from your computer, give --login-host`]
      : guessed(login);
  return { onNode: [], onLaptop: [ssh(forwards, atHost(user, login ?? node))], notes };
}

function jump({ services, user, login }: TunnelRequest, local: LocalPort): Lines {
  const lines = nodes(services).map((node) => {
    const forwards = services
      .filter((one) => one.node === node)
      .map((one) => `-L ${HERE}:${local(one)}:${hostPort(nearest(one), one.port)}`);
    const through = login === undefined || bare(login) === node ? [] : [`-J ${atHost(user, login)}`];
    return ssh([...forwards, ...through], atHost(user, node));
  });
  return { onNode: [], onLaptop: lines, notes: login === undefined ? [] : guessed(login) };
}

function reverse({ services, user, login = "", launch, folder }: TunnelRequest, local: LocalPort): Lines {
  const meeting = (service: Service): Meeting => meetingOf(service, launch, folder);
  const onNode = nodes(services).map((node) => {
    const here = services.filter((one) => one.node === node);
    // A line that was cut off leaves its sockets behind, and sshd does not listen on one that exists.
    const stale = here.flatMap((one) => meeting(one).socket ?? []);
    const forwards = here.map((one) => `-R ${meeting(one).place}:${hostPort(nearest(one), one.port)}`);
    return {
      node,
      line: `${stale.length === 0 ? "" : `rm -f ${stale.join(" ")}; `}${ssh(forwards, atHost(user, login))}`,
    };
  });
  const forwards = services.map((service) => `-L ${HERE}:${local(service)}:${meeting(service).place}`);
  const open = services.some((service) => meeting(service).socket === undefined);
  const notes = open
    ? [
        `open the links only while the line on the node runs: when it has ended, any user of ${bare(login)} can listen in its place`,
      ]
    : [];
  return { onNode, onLaptop: [ssh(forwards, atHost(user, login))], notes: [...guessed(login), ...notes] };
}

/**
 * Where the two lines of `reverse` meet on the login host, as ssh writes it; `socket` is its path where it is a unix
 * socket.
 */
interface Meeting {
  readonly place: string;
  readonly socket?: string;
}

/**
 * A socket in the cluster folder, where nobody else can listen or connect, if the login host can see that folder and
 * its path is short and plain enough for a socket and a shell; else a port of the login host's loopback.
 */
function meetingOf({ name }: Service, launch: string, folder: string | undefined): Meeting {
  const path = `${folder ?? ""}/${name === "JupyterLab" ? "jupyter" : "dashboard"}.sock`;
  const shared = /^\/[\w./+-]+$/.test(path) && !/^\/(tmp|var\/tmp|dev\/shm|run)\//.test(path) && folder !== undefined;
  if (shared && path.length <= LONGEST_SOCKET) return { place: path, socket: path };
  return { place: `${HERE}:${launchPort(`${launch} reverse`, name)}` };
}

const ssh = (options: readonly string[], host: string): string =>
  ["ssh -N -o ExitOnForwardFailure=yes", ...options, host].join(" ");

/** The host as ssh takes it: with its user, unless it has one, or nobody knows his name, which ssh's settings may. */
export const atHost = (user: string, host: string): string =>
  user === "" || host.includes("@") ? host : `${user}@${host}`;

const bare = (host: string): string => host.replace(/^.*@/, "");

const nodes = (services: readonly Service[]): readonly string[] => [...new Set(services.map(({ node }) => node))];

/** What the login host calls the page's host: a wildcard address is its node. */
const target = ({ host, node }: Service): string => (isWildcard(host) ? node : host);

/** What the node itself calls it. */
const nearest = ({ host }: Service): string => (isWildcard(host) || host === "localhost" ? HERE : host);

/** Whether a page listens on all addresses of its node. */
export const isWildcard = (host: string): boolean => host === "" || host === "0.0.0.0" || host === "::" || host === "*";

/** What a browser asks about a certificate of the launch's own authority, and how to answer. */
function certificateNote({ services, certificate, folder }: TunnelRequest): readonly string[] {
  if (!services.some(({ https }) => https)) return [];
  const seen = certificate === undefined ? undefined : fingerprintOf(certificate);
  return [
    `browsers ask about the launch's own certificate${seen === undefined ? "" : ` (SHA-256 ${seen})`}; its authority is ${folder === undefined ? "" : `${folder}/`}ca.pem`,
  ];
}

/** `AB:CD:…`, as browsers show it; undefined for what is no certificate. */
function fingerprintOf(pem: string): string | undefined {
  try {
    return new X509Certificate(pem).fingerprint256;
  } catch {
    // A site's file may hold something else first; the browser shows what it gets.
    return undefined;
  }
}

/** A page's link at a port of a host, by default the reader's own computer. */
export function pageLink(
  { path, https }: Pick<Service, "path" | "https">,
  port: number,
  token: string | undefined,
  host = HERE,
): string {
  return `http${https === true ? "s" : ""}://${hostPort(host, port)}${path}${token === undefined ? "" : `?token=${encodeURIComponent(token)}`}`;
}

/** A submit host without a domain is often a name that only the cluster's own hosts know. */
function guessed(login: string): string[] {
  return login.includes(".")
    ? []
    : [`if your computer does not know ${login}, give the name you use for ssh with --login-host`];
}

/** The words of a shell line must not be able to say more than a host. */
function isHostName(host: string): boolean {
  return /^(?:[\w.-]+@)?[A-Za-z0-9][\w.-]*$/.test(host);
}
