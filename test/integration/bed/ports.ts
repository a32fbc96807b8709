import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:net";

/**
 * From here up, the system gives ports to whoever asks for any: one that was free may be another's before it is used.
 */
const firstGiven = Number.parseInt(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8"), 10);
/** Below it are the ports that Dask, Jupyter and others take by themselves. */
const lowest = 15_000;

/**
 * Ports of loopback on which nobody listens at this moment, all different, and none that the system gives by itself
 * unless it gives nearly all.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listening()));
  return await Promise.all(
    servers.map(async (server) => {
      const address = server.address();
      await new Promise((resolve) => server.close(resolve));
      return typeof address === "object" && address !== null ? address.port : 0;
    }),
  );
}

/** A port of loopback on which nobody listens at this moment. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

async function listening(): Promise<Server> {
  for (;;) {
    const port = firstGiven < lowest + 1000 ? 0 : randomInt(lowest, firstGiven);
    const server = createServer();
    const listens = await new Promise<boolean>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "EADDRINUSE") resolve(false);
        else reject(error);
      });
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (listens) return server;
  }
}
