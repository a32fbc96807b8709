import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { Failure } from "../errors/failure.ts";
import { portWords } from "./port-words.ts";
import { systemCode } from "../security/file-problems.ts";

/** Checks that a port the user asked for is free. Throws TSD-028, which names the option that asked for it. */
export async function requirePort(host: string, port: number, option: string): Promise<void> {
  const problem = await tryPort(host, port);
  if (problem !== undefined) throw new Failure("TSD-028", { port, host, problem, option });
}

/**
 * A port of `host` that is free now: for a server that must be told of before it opens it. Throws the system's error.
 */
export async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** Why a port could not be had; undefined when it could. */
async function tryPort(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, "listening");
    return undefined;
  } catch (error) {
    return portProblem(error);
  } finally {
    server.close();
  }
}

function portProblem(error: unknown): string {
  const code = systemCode(error);
  if (code === "EADDRINUSE") return portWords.taken;
  if (code === "EACCES") return portWords.reserved;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") return "that is no address of this host";
  return error instanceof Error ? error.message : String(error);
}
