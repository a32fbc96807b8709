import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FromLeader, FromRank, RankEvent, ToLeader } from "../../src/protocol/messages.ts";
import { acceptEvent, acceptFromLeader, acceptFromRank, acceptToLeader } from "../../src/protocol/schemas.ts";

const event: RankEvent = { k: "worker-lost", why: "killed", restarting: true };
const hello: FromRank = {
  t: "hello",
  v: 1,
  rank: 3,
  size: 4,
  pid: 9,
  argv: ["s.py"],
  cwd: "/",
  env: { TSDASK_NP: "4" },
};
const join: FromLeader = { t: "join", v: 1, launch: "x", host: "n1", rank: 0, proof: "p" };
const welcome: ToLeader = {
  t: "welcome",
  folder: "/f",
  schedulerFile: "/s",
  credentials: null,
  token: null,
  namedByRank: false,
  clientRank: null,
  schedulerReturns: false,
};
const accept = { event: acceptEvent, rank: acceptFromRank, leader: acceptFromLeader, hub: acceptToLeader };

describe("a message that crosses a socket", () => {
  test.each<[keyof typeof accept, unknown]>([
    ["event", event],
    ["event", { k: "client-exit", code: 255 }],
    ["event", { k: "client-exit", code: 0, signal: "SIGINT" }],
    ["event", { k: "failure", code: "TSD-053", facts: { host: "n1", size: 3, gap: undefined }, exit: 69 }],
    ["event", { k: "scheduler-ready", address: "tls://a:1", identity: { id: "s" }, dashboard: null }],
    ["rank", hello],
    ["rank", { t: "event", event }],
    ["leader", join],
    ["leader", { t: "event", rank: 3, event }],
    ["leader", { t: "ranks", ranks: [] }],
    ["hub", welcome],
    ["hub", { ...welcome, granted: { cpus: 4, why: "Slurm" } }],
    ["hub", { t: "end", code: 0, grace: 2.5 }],
    ["hub", { t: "to-rank", rank: 1, message: { t: "assign", role: "worker" } }],
  ])("is taken as it is by the %s's side: %j", (side, message) => {
    expect(accept[side](message)).toEqual(message);
  });

  test.each<[keyof typeof accept, unknown, string]>([
    ["event", { k: "worker-lots", why: "", restarting: true }, "a kind that is none"],
    ["event", { k: "worker-lost", why: "killed" }, "a field too few"],
    ["event", { k: "client-exit", code: 256 }, "an exit code that is none"],
    ["event", { k: "client-exit", code: 1.5 }, "a broken number"],
    ["event", { k: "failure", code: "TSD-000", facts: {}, exit: 1 }, "a code that no message has"],
    ["event", { k: "failure", code: "toString", facts: {}, exit: 1 }, "a name that every object has"],
    ["event", { k: "scheduler-ready", address: "a", identity: {}, dashboard: 65_536 }, "a port that is none"],
    ["rank", { ...hello, rank: -1 }, "a rank below zero"],
    ["rank", { ...hello, rank: 10_000_001 }, "a rank beyond all launches"],
    ["rank", { ...hello, cwd: "x".repeat(4097) }, "a text that is too long"],
    ["rank", { ...hello, argv: "s.py" }, "a text for a list"],
    ["rank", join, "a message of another side"],
    ["leader", { ...join, proof: undefined }, "no proof"],
    ["leader", { t: "gone", rank: "3" }, "a text for a number"],
    ["hub", { ...welcome, credentials: { ca: "a", cert: "b" } }, "half of the credentials"],
    ["hub", { t: "to-rank", rank: 1, message: { role: "worker" } }, "a message without a kind"],
  ])("is refused by the %s's side: %j (%s)", (side, message) => {
    expect(accept[side](message)).toBeUndefined();
  });

  test("is taken with the beginning of a text that is only shown, however long it is", () => {
    const lost = (why: string): unknown => acceptEvent({ k: "worker-lost", why, restarting: false });
    expect(lost("x".repeat(100_000))).toMatchObject({ why: `${"x".repeat(65_536)} …` });
  });

  test("has the plainest word for one that no enumeration has", () => {
    const away = (why: string): unknown => acceptEvent({ k: "worker-away", why });
    expect(away("retired")).toEqual({ k: "worker-away", why: "retired" });
    expect(away("the disk was idle")).toEqual({ k: "worker-away", why: "closed" });
    const exit = { k: "scheduler-exit", code: 0, signal: null, why: "x" };
    expect(acceptEvent({ ...exit, reason: "idle", kind: "port" })).toEqual({ ...exit, reason: "idle", kind: "port" });
    expect(acceptEvent({ ...exit, reason: "new", kind: "new" })).toEqual({ ...exit, reason: "closed", kind: "other" });
    expect(acceptEvent({ k: "worker-away" })).toBeUndefined();
  });

  test("may be anything at all: what is not taken is undefined, and nothing throws", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...Object.values(accept)), (value, take) => {
        const taken = take(value);
        if (taken !== undefined) expect(taken).toEqual(value);
      }),
      { seed: 11, numRuns: 500 },
    );
  });

  test("loses what its kind does not know", () => {
    expect(acceptEvent({ ...event, extra: "x" })).toEqual(event);
  });
});
