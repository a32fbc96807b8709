import { expect, test } from "vitest";
import { makeSecrets } from "../../src/cluster/secrets.ts";
import { readOptions } from "../../src/config/read.ts";

const made = async (hub: boolean, argv: readonly string[], join?: Promise<never>) => {
  const { options } = await readOptions({ argv: [...argv, "a.py"], env: {}, cwd: "/w", home: "/h" });
  return makeSecrets({ options, launch: "x.1", hub, host: "h1", addresses: ["10.0.0.1"], join });
};

test("the hub has its certificate, and other hosts their word of the failure, where Dask gets no secrets", async () => {
  const pem = ["--tls-ca-file", "/no/ca.pem", "--tls-cert", "/no/cert.pem", "--tls-key", "/no/key.pem"];
  const site = await made(true, pem);
  await expect(site.secrets).rejects.toMatchObject({ code: "TSD-079" });
  expect((await site.hub)?.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  const joining = await made(true, [], Promise.reject(new Error("no cluster")));
  await expect(joining.secrets).rejects.toThrow("no cluster");
  expect((await joining.hub)?.cert).toContain("BEGIN CERTIFICATE");
});

test("Dask's certificate and the hub's are of one authority; one host needs none for the hub", async () => {
  const { secrets, hub } = await made(true, []);
  const { credentials, token } = await secrets;
  expect(credentials?.ca).toContain("BEGIN CERTIFICATE");
  expect(credentials?.cert).not.toBe((await hub)?.cert);
  expect(token).not.toBeNull();
  const alone = await made(false, ["--security", "none"]);
  expect(await alone.hub).toBeUndefined();
  expect(await alone.secrets).toEqual({ credentials: null, token: null });
});
