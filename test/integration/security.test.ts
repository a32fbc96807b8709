import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseAddress } from "../../src/dask/address.ts";
import { createAuthority } from "../../src/security/certificates.ts";
import { type Command, command, projectRoot } from "./bed/command.ts";
import { hostsAvailable, startHosts } from "./bed/hosts.ts";
import { nothingLeft, type Clean } from "./bed/left.ts";
import { output } from "./bed/run.ts";
import { hasJupyter, portsOf, rankZero, startCluster, type Port } from "./security/cluster.ts";
import type { Errand, Finding, Target } from "./security/stranger.ts";

const program = join(import.meta.dirname, "security", "stranger.ts");

/** Sends the stranger, from wherever `on` leads, to every port; returns what it got. */
async function strangerAt(
  targets: readonly Target[],
  on: (inner: Command) => Command,
  patience = 3_000,
): Promise<Finding[]> {
  const authority = await createAuthority({ launch: "another" });
  const pair = await authority.issue({ name: "dask", server: true, client: true });
  const errand: Errand = { targets, patience, other: { ca: authority.certificate, ...pair } };
  const said = await output(on(command(process.execPath, "--experimental-strip-types", "--no-warnings", program)), {
    input: JSON.stringify(errand),
    deadline: 60,
  });
  const lines = said.trim().split("\n");
  expect(lines.pop()).toBe("done");
  return lines.map((line) => JSON.parse(line) as Finding);
}

/** Where a stranger goes for a port: a wildcard address is each of the host's. */
function doors(ports: readonly Port[], address: string): Target[] {
  return ports.map(({ host, port }) => ({ host: ["*", "0.0.0.0", "::", ""].includes(host) ? address : host, port }));
}

/** A site's authority, and a pair for servers and clients that it signed, as files. */
async function siteFiles(clean: Clean): Promise<string[]> {
  const authority = await createAuthority({ launch: "site" });
  const pair = await authority.issue({ name: "site", server: true, client: true });
  return [
    "--tls-ca-file",
    clean.write("site-ca.pem", authority.certificate),
    "--tls-cert",
    clean.write("site.pem", pair.cert),
    "--tls-key",
    clean.write("site-key.pem", pair.key),
  ];
}

const jupyterIsThere = await hasJupyter();

describe("a stranger on the network", () => {
  test("gets nothing from any port of a cluster on one host, and the cluster goes on", async () => {
    await using clean = nothingLeft();
    await using cluster = await startCluster(clean);
    const ports = await portsOf(clean);
    // The scheduler's, two workers', and a dashboard for each.
    expect(ports.length).toBeGreaterThanOrEqual(6);
    expect(await strangerAt(doors(ports, "127.0.0.1"), (inner) => inner)).toEqual([]);
    await cluster.compute();
    await cluster.stop();
    // The log is not a stranger's to fill: a few lines a process, for hundreds of refused connections.
    expect(cluster.running.stderr().split("\n").length).toBeLessThan(60);
  });

  test("gets in everywhere with --security none: these probes are not blind", async () => {
    await using clean = nothingLeft();
    await using cluster = await startCluster(clean, { words: ["--security", "none"] });
    const targets = doors(await portsOf(clean), "127.0.0.1");
    const open = [parseAddress(cluster.file.address).port, cluster.file.tsdask?.dashboard?.port];
    const found = async (patience: number): Promise<unknown[]> =>
      (await strangerAt(targets, (inner) => inner, patience)).map(({ port }) => port);
    const first = await found(3_000);
    // A busy cluster may need longer to answer.
    const all = open.every((port) => first.includes(port)) ? first : await found(15_000);
    expect(all).toEqual(expect.arrayContaining(open));
    await cluster.stop();
  });

  test("gets nothing from a cluster with a site's own certificates", async () => {
    await using clean = nothingLeft();
    await using cluster = await startCluster(clean, { words: await siteFiles(clean) });
    expect(await strangerAt(doors(await portsOf(clean), "127.0.0.1"), (inner) => inner)).toEqual([]);
    const shown = await output(command(join(projectRoot, "bin", "tsdask-mpi"), "connect", "--json"), {
      folder: clean.folder,
      env: clean.env,
    });
    expect(JSON.parse(shown)).toMatchObject({ state: "running", workers: [{}, {}] });
    await cluster.compute();
    await cluster.stop();
  });

  if (jupyterIsThere) {
    test("gets nothing from JupyterLab and its cluster", async () => {
      await using clean = nothingLeft();
      clean.allow(/^node-compile-cache/);
      await using cluster = await startCluster(clean, { jupyter: true });
      const ports = await portsOf(clean);
      expect(ports.map(({ port }) => port)).toContain(cluster.file.tsdask?.jupyter?.port);
      expect(await strangerAt(doors(ports, "127.0.0.1"), (inner) => inner)).toEqual([]);
      await cluster.stop();
    });
  }

  if (hostsAvailable() === true) {
    test("on a third host gets nothing from a cluster on two others, its hub included", async () => {
      await using hosts = await startHosts();
      await using clean = nothingLeft();
      await using cluster = await startCluster(clean, { hosts });
      const [first = [], second = []] = await Promise.all(
        ["h1", "h2"].map((name) => portsOf(clean, (words) => hosts.on(name, words))),
      );
      expect(first.filter(({ pids }) => pids.includes(rankZero(clean)))).toHaveLength(1);
      const targets = [...doors(first, hosts.address("h1")), ...doors(second, hosts.address("h2"))];
      expect(await strangerAt(targets, (inner) => hosts.on("h3", inner))).toEqual([]);
      await cluster.compute();
      await cluster.stop();
    });
  }
});
