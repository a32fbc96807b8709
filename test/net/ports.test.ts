import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requirePort } from "../../src/net/ports.ts";
import { freePort } from "../integration/bed/ports.ts";

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

test("a taken port that was asked for is told, with the option that asked", async () => {
  await expect(requirePort("127.0.0.1", taken, "--scheduler-port")).rejects.toThrow(
    /TSD-028.*another process listens there[\s\S]*Choose another with --scheduler-port/,
  );
  await requirePort("127.0.0.1", await freePort(), "--scheduler-port");
});

test("an address of another host is told", async () => {
  await expect(requirePort("192.0.2.1", 0, "--interface")).rejects.toThrow(/TSD-028.*no address of this host/);
});
