import { createServer, type AddressInfo, type Socket } from "node:net";
import { expect, test } from "vitest";
import { lineTrouble } from "../../src/dask/comm.ts";
import { identity } from "../../src/dask/rpc.ts";
import { Failure } from "../../src/errors/failure.ts";

/**
 * What goes wrong in a call to a port where this becomes of each connection; undefined: nothing listens there any more.
 */
async function troubleWith(
  connected: ((socket: Socket) => void) | undefined,
  deadline: number,
): Promise<ReturnType<typeof lineTrouble>> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    connected?.(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  if (connected === undefined) await new Promise((resolve) => server.close(resolve));
  const call = identity({ address: `tcp://127.0.0.1:${port}` }, { deadline });
  const error: unknown = await call.catch((thrown: unknown) => thrown);
  for (const socket of sockets) socket.destroy();
  server.close();
  return lineTrouble(error);
}

test.each([
  ["a port that nothing listens at", undefined, { stage: "connect", trouble: "refused" }, 60_000],
  ["a scheduler that is too busy", () => undefined, { stage: "handshake", trouble: "silent" }, 200],
  ["a program that hangs up", (socket: Socket) => socket.end(), { stage: "handshake", trouble: "closed" }, 60_000],
] as const)("%s has its kind", async (_, connected, trouble, deadline) => {
  expect(await troubleWith(connected, deadline)).toEqual(trouble);
});

test("another failure is none of a connection", () => {
  expect(lineTrouble(new Failure("TSD-076", { problem: "nothing listens there" }))).toBeUndefined();
});
