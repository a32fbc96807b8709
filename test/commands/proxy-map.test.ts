import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { mapText, routesOf } from "../../src/commands/proxy-map.ts";
import { sniDomain } from "../../src/config/values.ts";
import { publicName } from "../../src/registry/names.ts";
import type { Listed } from "../../src/registry/find.ts";

const context = { cwd: "/", home: "/", env: {}, variables: false };

const cluster = (name: string, started: number, address: string, state: Listed["state"] = "running"): Listed =>
  ({
    state,
    entry: { public: name, started, security: "tls", scheduler: { address, id: "1", rank: 0 } },
  }) as Listed;

describe("the names of clusters below a domain", () => {
  it("are names of hosts", () => {
    const sni = sniDomain("AF.example.org:443", context);
    expect(publicName({ clusterName: "My_run.2-", sniDomain: sni }, "1")).toEqual({
      name: "my-run-2.af.example.org",
      port: 443,
    });
    expect(publicName({ clusterName: undefined, sniDomain: sniDomain("x.org", context) }, "1")?.name).toMatch(
      /^[a-z]+-[a-z]+\.x\.org$/,
    );
    expect(publicName({ clusterName: "a", sniDomain: undefined }, "1")).toBeUndefined();
  });

  it.each(["", "-a.org", "a..org", "a.org:0", "a.org:99999", "a b", "*.a.org", "a.org\nb"])(
    "%j is no domain",
    (text) => {
      expect(() => sniDomain(text, context)).toThrow();
    },
  );
});

describe("a proxy's map", () => {
  const clusters = [
    cluster("b.x.org", 2, "tls://10.0.0.2:5"),
    cluster("a.x.org", 1, "tls://10.0.0.1:5"),
    cluster("b.x.org", 3, "tls://[fe80::1]:6"),
    cluster("gone.x.org", 3, "tls://10.0.0.3:6", "ended"),
    cluster("plain.x.org", 3, "tcp://10.0.0.3:6"),
  ];

  it("has each name once: the newest cluster's that runs", () => {
    expect(mapText(routesOf(clusters), "haproxy")).toBe("a.x.org 10.0.0.1/5\nb.x.org fe80::1/6\n");
  });

  it("is for Traefik a router and a service for each name, which no other name has as well", () => {
    const more = [
      ...clusters,
      cluster("a-b.x.org", 1, "tls://10.0.0.4:7"),
      cluster("a.b-x.org", 1, "tls://10.0.0.5:7"),
    ];
    const { tcp } = parse(mapText(routesOf(more), "traefik")) as {
      tcp: Record<"routers" | "services", Record<string, unknown>>;
    };
    expect(Object.keys(tcp.routers)).toEqual(["a--b-x-org", "a-b--x-org", "a-x-org", "b-x-org"]);
    expect(tcp.routers["b-x-org"]).toEqual({
      rule: "HostSNI(`b.x.org`)",
      service: "b-x-org",
      tls: { passthrough: true },
    });
    expect(tcp.services["b-x-org"]).toEqual({ loadBalancer: { servers: [{ address: "[fe80::1]:6" }] } });
    expect(parse(mapText([], "traefik"))).toBeNull();
  });
});
