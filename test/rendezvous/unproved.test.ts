import { describe, expect, it } from "vitest";
import { holdUnproved, openFileLimit, sourceOf, type Guest } from "../../src/rendezvous/unproved.ts";

const ended: string[] = [];
const guest = (name: string, source: string, heard = false): Guest => ({
  source,
  heard: () => heard,
  answered: () => false,
  end: () => void ended.push(name),
});

describe("connections that are not proved yet", () => {
  it("make room in the source that holds most, the silent and oldest first", () => {
    ended.length = 0;
    const why: string[] = [];
    const room = holdUnproved<Guest>({ most: 4, mostOfSource: 3, onEnd: (word) => why.push(word) });
    room.enter(guest("leader", "10.0.0.1", true));
    room.enter(guest("s1", "10.0.0.9", true));
    room.enter(guest("s2", "10.0.0.9"));
    room.enter(guest("s3", "10.0.0.9"));
    room.enter(guest("s4", "10.0.0.9"));
    expect(ended).toEqual(["s2"]);
    room.enter(guest("other", "10.0.0.8"));
    expect(ended).toEqual(["s2", "s3"]);
    room.enter(guest("s5", "10.0.0.9", true));
    room.enter(guest("s6", "10.0.0.9", true));
    expect(ended).not.toContain("leader");
    expect(why).toEqual(ended.map(() => "crowded"));
    expect(room.size()).toBe(4);
    room.close();
  });

  it("give their place back when they have proved themselves", () => {
    ended.length = 0;
    const room = holdUnproved<Guest>({ most: 1, mostOfSource: 1, onEnd: () => undefined });
    for (let round = 0; round < 10; round += 1) {
      const leader = guest("leader", "10.0.0.1");
      room.enter(leader);
      room.leave(leader);
    }
    expect(ended).toEqual([]);
    expect(room.size()).toBe(0);
  });
});

it("an IPv6 source is its network, an IPv4 source its address, however it is written", () => {
  expect(
    ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::9", "fe80::1%eth0", "::1", undefined].map(
      sourceOf,
    ),
  ).toEqual(["10.1.2.3", "10.1.2.3", "2001:db8:1:2", "2001:db8:1:2", "fe80:0:0:0", "0:0:0:0", ""]);
});

it("the limit of open files is the kernel's word", () => {
  expect(openFileLimit()).toBeGreaterThan(64);
  expect(openFileLimit("/nonexistent")).toBe(1024);
});
