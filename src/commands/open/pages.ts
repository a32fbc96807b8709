import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { hostPort, isLoopback, parseAddress } from "../../dask/address.ts";
import { deadlines } from "../../deadlines.ts";
import { Failure } from "../../errors/failure.ts";
import { clusterServices } from "../../net/cluster-tunnel.ts";
import { freePort, requirePort } from "../../net/ports.ts";
import { isWildcard, launchPort, pageLink, type Service } from "../../net/tunnel.ts";
import type { Told } from "./lines.ts";
import type { Link } from "./link.ts";
import type { Connection } from "./ssh.ts";

type Up = Extract<Told, { event: "up" }>;
const here = "127.0.0.1";

/** A page of the cluster's at a port of this machine's. */
export interface Forwarded {
  readonly name: string;
  readonly url: string;
  readonly port: number;
}

/**
 * Leads ports of this machine to the cluster's pages: the same as before after a lost connection, so that what is open
 * in the browser goes on. Throws TSD-028 (the port that was asked for is taken), TSD-175 and TSD-184.
 */
export async function forwardPages(
  { record, token }: Up,
  link: Link,
  {
    port: wanted,
    usual,
    before,
  }: {
    /** A port that must be had, and one that would be good. */
    readonly port: number | undefined;
    readonly usual: number | undefined;
    readonly before: readonly Forwarded[];
  },
): Promise<readonly Forwarded[]> {
  const services = clusterServices(record);
  const forwarded: Forwarded[] = [];
  for (const [index, service] of services.entries()) {
    const first = index === 0;
    const likely = (first ? usual : undefined) ?? launchPort(record.launch, service.name);
    const port = before[index]?.port ?? (await localPort(first ? wanted : undefined, likely));
    const { by, host } = await wayTo(service, link);
    const target = hostPort(host, service.port);
    const problem = await by.forward(port, target);
    if (problem !== undefined) throw notForwarded(port, target, problem);
    const url = pageLink(service, port, token);
    if (before.length === 0) await answers(url, target, port);
    forwarded.push({ name: service.name, url, port });
  }
  return forwarded;
}

/** Leads a port of this machine to the scheduler; resolves to its address here. Throws TSD-175. */
export async function forwardScheduler({ address, record }: Up, link: Link, before?: string): Promise<string> {
  const { protocol, host, port } = parseAddress(address);
  const local =
    before === undefined
      ? await localPort(undefined, launchPort(`${record.launch} scheduler`, "JupyterLab"))
      : parseAddress(before).port;
  const target = hostPort(isLoopback(host) && record.host !== link.hello.host ? record.host : host, port);
  const problem = await link.connection.forward(local, target);
  if (problem !== undefined) throw notForwarded(local, target, problem);
  return `${protocol}://${hostPort(here, local)}`;
}

async function localPort(wanted: number | undefined, usual: number): Promise<number> {
  if (wanted !== undefined) {
    await requirePort(here, wanted, "--port");
    return wanted;
  }
  try {
    await requirePort(here, usual, "--port");
    return usual;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return freePort(here);
  }
}

/** The connection that a page is reached by, and what its other end calls the page's host. Throws TSD-184. */
async function wayTo({ host, node }: Service, link: Link): Promise<{ readonly by: Connection; readonly host: string }> {
  const { connection, hello } = link;
  if (!isLoopback(host) && host !== "localhost") return { by: connection, host: isWildcard(host) ? node : host };
  return { by: node === hello.host ? connection : await link.toNode(node), host: here };
}

/**
 * The first answer of a page, whatever it is: the tunnel's own port takes connections also where nothing is behind it.
 */
async function answers(url: string, target: string, port: number): Promise<void> {
  const problem = await new Promise<string | undefined>((resolve) => {
    const take = url.startsWith("https:") ? httpsRequest : httpRequest;
    // The cluster's own certificate; it is the browser that shows it to the user.
    const asked = take(url, { rejectUnauthorized: false, timeout: deadlines.openPage }, (reply) => {
      reply.destroy();
      resolve(undefined);
    });
    asked.once("timeout", () => asked.destroy(new Error("no answer in time")));
    asked.once("error", ({ message }) => resolve(message));
    asked.end();
  });
  if (problem !== undefined) throw notForwarded(port, target, problem);
}

function notForwarded(port: number, target: string, problem: string): Failure {
  return new Failure("TSD-175", { port, target, problem });
}
