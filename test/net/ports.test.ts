import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort, freePortFrom, requirePort } from "../../src/net/ports.ts";

let server: Server;
let taken: number;
beforeAll(async () => {
  server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  taken = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.close();
});

test("a free port can be listened at", async () => {
  const port = await freePort("127.0.0.1");
  const other = createServer().listen(port, "127.0.0.1");
  await once(other, "listening");
  other.close();
});

test("a taken port is passed over", async () => {
  const port = await freePortFrom("127.0.0.1", taken);
  expect(port).not.toBe(taken);
  expect(await freePortFrom("127.0.0.1", taken, 1)).not.toBe(taken);
});

test("a taken port that was asked for is told, with the option that asked", async () => {
  await expect(requirePort("127.0.0.1", taken, "--scheduler-port")).rejects.toThrow(/TSD-028.*another process listens there[^]*Choose another with --scheduler-port/);
  await requirePort("127.0.0.1", await freePort("127.0.0.1"), "--scheduler-port");
});

test("an address of another host is told", async () => {
  await expect(freePort("192.0.2.1")).rejects.toThrow(/TSD-028.*no address of this host/);
});
