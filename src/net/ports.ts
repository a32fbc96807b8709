import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { Failure } from "../failure.ts";
import { systemCode } from "../security/file-problems.ts";

/** A port of `host` (one of this machine's addresses) that was free a moment ago; the system chooses it. Throws TSD-028. */
export async function freePort(host: string): Promise<number> {
  const { port, problem } = await tryPort(host, 0);
  if (port === undefined) throw new Failure("TSD-028", { port: "any", host, problem, option: "--interface" });
  return port;
}

/** The first free port of `host` from `first` on, at most `tries` of them looked at; else any free one. Throws as `freePort`. */
export async function freePortFrom(host: string, first: number, tries = 20): Promise<number> {
  for (let port = first; port < Math.min(first + tries, 65536); port += 1) {
    if ((await tryPort(host, port)).port !== undefined) return port;
  }
  return freePort(host);
}

/** Checks that a port the user asked for is free. Throws TSD-028, which names the option that asked for it. */
export async function requirePort(host: string, port: number, option: string): Promise<void> {
  const { problem } = await tryPort(host, port);
  if (problem !== "") throw new Failure("TSD-028", { port, host, problem, option });
}

interface Trial {
  readonly port: number | undefined;
  /** Why it could not be had; empty when it could. */
  readonly problem: string;
}

async function tryPort(host: string, port: number): Promise<Trial> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, "listening");
    return { port: (server.address() as AddressInfo).port, problem: "" };
  } catch (error) {
    return { port: undefined, problem: portProblem(error) };
  } finally {
    server.close();
  }
}

function portProblem(error: unknown): string {
  const code = systemCode(error);
  if (code === "EADDRINUSE") return "another process listens there";
  if (code === "EACCES") return "ports below 1024 are for the system's own services";
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") return "that is no address of this host";
  return error instanceof Error ? error.message : String(error);
}
