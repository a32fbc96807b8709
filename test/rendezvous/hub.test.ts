import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { joinParts, openHub, type Hub } from "../../src/rendezvous/hub.ts";
import { linkToHub } from "../../src/rendezvous/link.ts";
import { deadlines } from "../../src/deadlines.ts";
import { controlVersion } from "../../src/protocol/messages.ts";
import { proof } from "../../src/security/tokens.ts";
import { createAuthority, fingerprint } from "../../src/security/certificates.ts";

const changed: { hubProof: number } = deadlines;
const { hubProof } = deadlines;
const open: { readonly close: () => void }[] = [];
afterEach(() => {
  changed.hubProof = hubProof;
  for (const one of open.splice(0)) one.close();
});

/** A hub on loopback, and what it said of refused connections. */
async function hubHere(): Promise<{
  readonly hub: Hub;
  readonly place: Parameters<typeof linkToHub>[0];
  readonly refused: Record<string, number>[];
  readonly joined: string[];
  readonly versions: number[];
}> {
  const authority = await createAuthority({ launch: "test" });
  const { cert, key } = await authority.issue({ name: "hub", addresses: ["127.0.0.1"], server: true });
  const secret = randomBytes(32).toString("base64url");
  const refused: Record<string, number>[] = [];
  const joined: string[] = [];
  const versions: number[] = [];
  const hub = await openHub({
    launch: "l",
    size: 2,
    cert,
    key,
    fingerprint: fingerprint(cert),
    host: "127.0.0.1",
    keysOf: async () => [secret],
    onRefused: (counts) => refused.push({ ...counts }),
    onHost: (_, host, __, { version }) => {
      joined.push(host);
      versions.push(version);
    },
  });
  open.push(hub);
  return {
    hub,
    place: { launch: "l", addresses: [`127.0.0.1:${hub.port}`], fingerprint: fingerprint(cert), key: secret },
    refused,
    joined,
    versions,
  };
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once("close", () => resolve()).on("error", () => undefined));

/** How long (ms) a connection was held. */
async function held(socket: Socket): Promise<number> {
  let from = Number.POSITIVE_INFINITY;
  socket.once("connect", () => {
    from = performance.now();
  });
  // What is not read, the words of a refusal for instance, would keep it open here.
  socket.resume();
  await closed(socket);
  return performance.now() - from;
}

describe("a hub that strangers crowd", () => {
  it("takes a leader while 600 idle connections of one source hold on, and ends all of them in time", async () => {
    const { hub, place, refused, joined } = await hubHere();
    const all: Promise<number>[] = [];
    // In parts that fit the listener's queue: the kernel forgets what does not, and tells a caller that says nothing
    // nothing of it.
    for (let part = 0; part < 6; part += 1) {
      const strangers = Array.from({ length: 100 }, (_, i) =>
        i % 2 === 0
          ? connect(hub.port, "127.0.0.1")
          : connectTls({ port: hub.port, host: "127.0.0.1", rejectUnauthorized: false }),
      );
      all.push(...strangers.map(held));
      await Promise.all(
        strangers.map((socket) => new Promise((met) => socket.once("connect", met).once("close", met))),
      );
    }
    let link = await linkToHub(place, { rank: 1, host: "h1" });
    // A busy machine may need longer than an attempt has.
    for (let again = 0; link === undefined && again < 5; again += 1)
      link = await linkToHub(place, { rank: 1, host: "h1" });
    expect(link).toBeDefined();
    if (link !== undefined) open.push(link.channel);
    for (const until = performance.now() + 30_000; joined.length === 0 && performance.now() < until; ) await pause(10);
    expect(joined).toEqual(["h1"]);
    expect(Math.max(...(await Promise.all(all)))).toBeLessThan(deadlines.hubProof + 30_000);
    // Said once, though hundreds were ended; the rest comes with the close.
    expect(refused).toHaveLength(1);
    hub.close();
    const total = refused.flatMap((counts) => Object.values(counts)).reduce((a, b) => a + b, 0);
    expect(total).toBeGreaterThanOrEqual(600);
    expect(refused).toHaveLength(2);
  });

  it("ends a connection that says nothing sooner than one that has begun", async () => {
    // Further away than this process may stand still: both would end at once, in any order.
    changed.hubProof = 120_000;
    const { hub } = await hubHere();
    const from = performance.now();
    const begun = connect(hub.port, "127.0.0.1", () => begun.write("\x16"));
    open.push({ close: () => begun.destroy() });
    let over = false;
    void closed(begun).then(() => (over = true));
    await closed(connect(hub.port, "127.0.0.1"));
    expect(performance.now() - from).toBeGreaterThan(deadlines.hubFirstWord - 100);
    expect(over).toBe(false);
  });
});

describe("a leader of another version of tsdask-mpi", () => {
  it.each([
    ["is told of once it has proved to be of the launch", true],
    ["is a stranger while it proves nothing", false],
  ])("%s", async (_, proves) => {
    const { hub, place, joined, versions } = await hubHere();
    const ws = new WebSocket(`wss://127.0.0.1:${hub.port}/`, { rejectUnauthorized: false });
    open.push(ws);
    ws.once("message", (data: Buffer) => {
      const { nonce } = JSON.parse(data.toString("utf8")) as { nonce: string };
      const key = proves ? place.key : "another";
      const { launch, fingerprint: print } = place;
      const parts = joinParts({ nonce, launch, rank: 1, host: "h1", fingerprint: print });
      const v = controlVersion + 1;
      ws.send(JSON.stringify({ t: "join", v, launch, host: "h1", rank: 1, proof: proof(key, parts) }));
    });
    const ended = new Promise((resolve) => ws.once("close", resolve).on("error", () => undefined));
    const come = async (): Promise<void> => {
      while (joined.length === 0) await pause(10);
    };
    await Promise.race([ended, come()]);
    expect([joined, versions]).toEqual(proves ? [["h1"], [controlVersion + 1]] : [[], []]);
  });
});
