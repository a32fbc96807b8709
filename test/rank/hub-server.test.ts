import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { prepareHubServer } from "../../src/rank/hub-server.ts";

const told: string[] = [];
let hub: Server;
let env: Record<string, string>;

beforeAll(async () => {
  hub = createServer((request, answer) => {
    void request.toArray().then((body) => {
      told.push(`${request.method} ${request.url} ${body.join("")}`);
      const known = request.headers.authorization === "token right";
      answer.statusCode = !known ? 403 : request.url === "/hub/api/missing/batchspawner" ? 404 : 200;
      answer.end("{}");
    });
  }).listen(0, "127.0.0.1");
  await once(hub, "listening");
  env = {
    JUPYTERHUB_API_URL: `http://127.0.0.1:${(hub.address() as AddressInfo).port}/hub/api`,
    JUPYTERHUB_API_TOKEN: "right",
    JUPYTERHUB_SERVICE_PREFIX: "/user/ada/",
    JUPYTERHUB_SERVICE_URL: "http://127.0.0.1:8123/user/ada/",
  };
});
afterAll(() => hub.close());

test("a server whose port the Hub knows is left as it is", async () => {
  expect(await prepareHubServer(env)).toEqual({});
});

test("a server without a port takes a free one and tells the Hub, as batchspawner wants it", async () => {
  told.length = 0;
  const { JUPYTERHUB_SERVICE_URL = "" } = await prepareHubServer({
    ...env,
    JUPYTERHUB_SERVICE_URL: "http://0.0.0.0:0/user/ada/",
  });
  const port = Number(new URL(JUPYTERHUB_SERVICE_URL).port);
  expect(port).toBeGreaterThan(1023);
  expect(JUPYTERHUB_SERVICE_URL).toBe(`http://0.0.0.0:${port}/user/ada/`);
  expect(told).toEqual(["GET /hub/api/user ", `POST /hub/api/batchspawner {"port":${port}}`]);
});

test.each([
  ["no Hub", { JUPYTERHUB_API_TOKEN: "" }, "TSD-170"],
  ["a token that the Hub does not know", { JUPYTERHUB_API_TOKEN: "wrong" }, "TSD-171"],
  ["a Hub that is not there", { JUPYTERHUB_API_URL: "http://127.0.0.1:9/hub/api" }, "TSD-172"],
  ["a URL that is none", { JUPYTERHUB_API_URL: "no url" }, "TSD-172"],
  ["a service URL that is none", { JUPYTERHUB_SERVICE_URL: "no url" }, "TSD-172"],
] as const)("%s is a failure of its own", async (_, changes, code) => {
  await expect(prepareHubServer({ ...env, ...changes })).rejects.toMatchObject({ code });
});

test("a Hub without batchspawner says what it answers", async () => {
  const changes = {
    JUPYTERHUB_API_URL: `${env["JUPYTERHUB_API_URL"]}/missing`,
    JUPYTERHUB_SERVICE_URL: "http://127.0.0.1:0/user/ada/",
  };
  await expect(prepareHubServer({ ...env, ...changes })).rejects.toMatchObject({
    code: "TSD-172",
    facts: { problem: "it answers 404" },
  });
});
