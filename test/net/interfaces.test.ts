import { describe, expect, test } from "vitest";
import {
  addressOfInterface,
  interfaceAddresses,
  listeningAddress,
  reachableAddresses,
  type InterfaceAddress,
} from "../../src/net/interfaces.ts";
import { isLoopback } from "../../src/dask/address.ts";

const one = (name: string, cidr: string, internal = false): InterfaceAddress => ({
  name,
  cidr,
  address: cidr.split("/")[0] ?? "",
  family: cidr.includes(":") ? "IPv6" : "IPv4",
  internal,
});
const node = [
  one("lo", "127.0.0.1/8", true),
  one("lo", "::1/128", true),
  one("docker0", "172.17.0.1/16"),
  one("eth0", "10.1.0.7/16"),
  one("eth0", "fe80::1/64"),
  one("ib0", "fd00::7/64"),
  one("ib0", "10.2.0.7/16"),
];

describe("the address of a named interface", () => {
  test("is its IPv4 address, and IPv6 when it has no other", () => {
    expect(addressOfInterface("ib0", node)).toBe("10.2.0.7");
    expect(addressOfInterface("ib1", [one("ib1", "fd00::8/64")])).toBe("fd00::8");
    expect(addressOfInterface("lo", node)).toBe("127.0.0.1");
  });

  test("that is not there is told with those that are", () => {
    expect(() => addressOfInterface("ib7", node)).toThrow(
      /TSD-027.*no such interface[\s\S]*lo \(127\.0\.0\.1, ::1\), docker0 \(172\.17\.0\.1\), eth0 \(10\.1\.0\.7\)/,
    );
    expect(() => addressOfInterface("eth1", [one("eth1", "fe80::1/64")])).toThrow(/no address that can be used/);
  });
});

describe("the addresses that others reach", () => {
  test("come with those on the peers' network first, containers last, loopback and link-local never", () => {
    expect(reachableAddresses({ addresses: node, peers: ["10.2.0.8", "10.2.0.9", "h3"] })).toEqual([
      "10.2.0.7",
      "10.1.0.7",
      "fd00::7",
      "172.17.0.1",
    ]);
  });

  test("come with those of the host's own name first when no peer is known", () => {
    expect(reachableAddresses({ addresses: node, own: ["10.2.0.7"] })[0]).toBe("10.2.0.7");
    expect(reachableAddresses({ addresses: node, own: ["127.0.1.1"] })[0]).toBe("10.1.0.7");
  });
});

describe("the address to listen at", () => {
  test("is the named interface's, else the likeliest, else loopback for a host that is alone", () => {
    expect(listeningAddress({ interface: "lo", singleHost: true, addresses: node })).toBe("127.0.0.1");
    expect(listeningAddress({ singleHost: false, addresses: node, peers: ["10.1.0.9"] })).toBe("10.1.0.7");
    expect(listeningAddress({ singleHost: true, addresses: node.slice(0, 2) })).toBe("127.0.0.1");
    expect(() => listeningAddress({ singleHost: false, addresses: node.slice(0, 2) })).toThrow(/TSD-029/);
  });

  test("comes from this machine's own interfaces unless they are given", () => {
    expect(interfaceAddresses().map(({ name }) => name)).toContain("lo");
    expect(listeningAddress({ interface: "lo", singleHost: true })).toBe("127.0.0.1");
  });

  test.each([
    ["127.0.0.1", true],
    ["127.5.5.5", true],
    ["::1", true],
    ["localhost", true],
    ["10.0.0.1", false],
    ["h127.0", false],
  ])("%s is loopback: %s", (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });
});
