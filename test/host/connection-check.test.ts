import { createServer } from "node:net";
import { expect, test } from "vitest";
import { Failure } from "../../src/errors/failure.ts";
import { refuseLoopback } from "../../src/host/connection-check.ts";
import { whyUnreachable } from "../../src/net/connection-check.ts";

test("a port that takes connections can be reached, one that was closed cannot, and says so", async () => {
  const server = createServer((socket) => socket.destroy());
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
  });
  expect(await whyUnreachable("127.0.0.1", port, 1000)).toBeUndefined();
  await new Promise((resolve) => server.close(resolve));
  expect(await whyUnreachable("127.0.0.1", port, 1000)).toMatch(/refuses connections/);
});

test.each([
  ["127.0.0.1", undefined, true],
  ["localhost", undefined, true],
  ["[::1]", undefined, true],
  ["10.0.0.1", undefined, true],
  [undefined, "lo", true],
  ["0.0.0.0", undefined, false],
  [undefined, "ib0", false],
  [undefined, undefined, false],
])("--host %s and --interface %s with several hosts: refused %s", (host, name, refused) => {
  const ask = (localSize: number | undefined) => () => refuseLoopback({ host, interface: name, size: 4, localSize });
  if (refused) expect(ask(2)).toThrow(Failure);
  else expect(ask(2)).not.toThrow();
  expect(ask(4)).not.toThrow();
  expect(ask(undefined)).not.toThrow();
});
