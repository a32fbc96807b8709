import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readOptions, type ReadResult } from "../../src/config/read.ts";
import { Failure } from "../../src/errors/failure.ts";

const folder = mkdtempSync(join(tmpdir(), "tsdask-reconcile-"));
afterAll(() => rmSync(folder, { recursive: true }));

const read = (argv: string, site = ""): Promise<ReadResult> => {
  const siteFile = join(folder, "site.yaml");
  writeFileSync(siteFile, site);
  return readOptions({
    argv: argv.split(" ").filter((word) => word !== ""),
    env: {},
    cwd: "/w",
    home: join(folder, "home"),
    siteFile,
  });
};

const refusal = async (argv: string, site = ""): Promise<string> => {
  const error: unknown = await read(argv, site).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(Failure);
  expect((error as Failure).code).toBe("TSD-007");
  return (error as Failure).message;
};

describe("what does not go together", () => {
  test.each([
    ["--no-scheduler a.py", 'eval "$(tsdask-mpi env)"'],
    ["--no-scheduler -- ls", "none would run the script"],
    ["--jupyter lab a.py", "--jupyter and the script a.py"],
    ["--jupyter lab --no-scheduler", "none would run Jupyter"],
    ["--protocol tcp", "--security tls (the default)"],
    ["--protocol ws", "not encrypted"],
    ["--protocol ucx --security tls", "not encrypted"],
    ["--protocol tls --security none", "--security none and --protocol tls"],
    ["--security none --tls-ca-file ca.pem --tls-cert c.pem", "--tls-ca-file"],
    ["--tls-cert c.pem", "--tls-ca-file is missing"],
    ["--tls-ca-file ca.pem --tls-key k.pem", "--tls-cert is missing"],
    ["--interface ib0 --host 10.0.0.1", "--interface ib0 and --host 10.0.0.1"],
    ["--listen-address tcp://:9000 --worker-port 9000", "which port"],
    ["--no-dashboard --dashboard-address :1", "no dashboard to put there"],
    ["--https on --security none", "no certificate"],
    ["--lifetime-restart", "needs a lifetime"],
    ["--lifetime-stagger 5m", "needs a lifetime"],
  ])("%s", async (argv, part) => {
    expect(await refusal(argv)).toContain(part);
  });
});

describe("of two options that exclude each other, the one said at the higher place wins", () => {
  test("--security none over a site's certificates", async () => {
    const { options, sources } = await read("--security none", "tls-ca-file: /ca.pem\ntls-cert: /c.pem");
    expect([options.security, options.tls]).toEqual(["none", undefined]);
    expect(sources.tlsCaFile).toEqual({ kind: "derived", from: "--security none" });
  });

  test("--security none over a site's setting of pages over TLS", async () => {
    expect((await read("", "https: on")).options.https).toBe("on");
    expect((await read("--security none", "https: on")).options.https).toBe("auto");
    expect((await read("--security none --https off")).options.https).toBe("off");
  });

  test("--host over a site's interface, and the other way round", async () => {
    expect((await read("--host h1", "interface: ib0")).options).toMatchObject({ host: "h1", interface: undefined });
    expect((await read("--interface ib0", "host: h1")).options).toMatchObject({ host: undefined, interface: "ib0" });
  });

  test("--security tls over a site's plain protocol", async () => {
    expect((await read("--security tls", "protocol: tcp")).options).toMatchObject({
      security: "tls",
      protocol: undefined,
    });
  });

  test("--security none over a site's protocol tls, and --protocol tls over a site's none", async () => {
    expect((await read("--security none", "protocol: tls")).options).toMatchObject({
      security: "none",
      protocol: undefined,
    });
    expect((await read("--protocol tls", "security: none")).options).toMatchObject({
      security: "tls",
      protocol: "tls",
    });
  });

  test("but never silently against encryption that was asked for", async () => {
    expect(await refusal("--protocol tcp", "security: tls")).toContain("not encrypted");
    expect(await refusal("--protocol ucx", "security: tls")).toContain("not encrypted");
  });

  test("--dashboard-address over a site without dashboard", async () => {
    expect((await read("--dashboard-address :1", "dashboard: false")).options).toMatchObject({
      dashboard: true,
      dashboardAddress: ":1",
    });
  });

  test("a script over a site's jupyter, and over its lifetime-stagger", async () => {
    const { options } = await read("a.py", "jupyter: lab\nlifetime-stagger: 5m");
    expect(options.jupyter).toBeUndefined();
    expect(options.lifetimeStagger).toBe(300);
  });
});

describe("what follows from what", () => {
  test("ucx turns the default encryption off, which it cannot do", async () => {
    const { options, sources } = await read("--protocol ucx");
    expect(options.security).toBe("none");
    expect(sources.security).toEqual({ kind: "derived", from: "--protocol ucx" });
  });

  test("certificates are absolute, and the key is in the certificate's file when none is named", async () => {
    const { options } = await read("--tls-ca-file ca.pem --tls-cert c.pem");
    expect(options.tls).toEqual({ caFile: "/w/ca.pem", cert: "/w/c.pem", key: "/w/c.pem" });
  });

  test("one rank may be scheduler and client, with a worker on it or without", async () => {
    expect((await read("--client-rank 0 --inclusive-workers a.py")).options.clientRank).toBe(0);
    expect((await read("--client-rank 2 --scheduler-rank 2 a.py")).options.clientRank).toBe(2);
  });

  test("what has no effect is said, and is no error", async () => {
    expect((await read("--client-rank 2")).warnings).toHaveLength(1);
    expect((await read("--wait-workers all")).warnings[0]).toContain("no script to hold back");
    expect((await read("--jupyter-port 9999 a.py")).warnings[0]).toContain("--jupyter-port");
    expect((await read("--no-scheduler --scheduler-port 1 --idle-timeout 5m")).warnings).toHaveLength(2);
    expect((await read("--preload-nanny m a.py")).warnings[0]).toContain("--nanny");
    expect((await read("--np 3 a.py")).warnings).toEqual([]);
    expect(
      (await read("--no-scheduler --cluster-name a --report r.html --prometheus-targets .")).warnings,
    ).toHaveLength(3);
    expect((await read("--no-dashboard --prometheus-targets . a.py")).warnings[0]).toContain("--prometheus-targets");
  });
});
