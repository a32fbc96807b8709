import { setTimeout as pause } from "node:timers/promises";
import * as v from "valibot";
import { Failure } from "../errors/failure.ts";
import { endedLink, linkToHub, type Link } from "./link.ts";
import { anyListens } from "./unreachable.ts";
import { deadlines } from "../deadlines.ts";
import { openPmi, type Pmi } from "../launcher/pmi/pmi.ts";
import type { World } from "../launcher/world.ts";
import { keyPair, sharedKey } from "../security/tokens.ts";
import { longestTimer } from "../timers.ts";

/**
 * What rank 0 tells through the launcher's key-value store: where the hub is and what it is known by. A stranger may
 * read it: whoever joins is known by a public key that only a rank of this launch could have put there.
 */
const announcement = v.object({
  launch: v.string(),
  addresses: v.array(v.string()),
  fingerprint: v.string(),
  publicKey: v.string(),
});
export type Announcement = Omit<v.InferOutput<typeof announcement>, "publicKey">;

const hubKey = "tsdask-hub";
const leaderKey = (rank: number): string => `tsdask-leader-${rank}`;
/** A fence waits for the launch's last rank as long as `startTimeout` says (s), and for two minutes at the least. */
const open = (world: World, startTimeout = 0): Promise<Pmi> => {
  const patience = Math.max(startTimeout * 1000, deadlines.recordShared);
  return openPmi(world, { deadline: deadlines.pmi, fenceDeadline: Math.min(patience, longestTimer) });
};

/**
 * Takes a rank that is no leader through the exchange: the fence needs every rank of the launch. `startTimeout` in
 * seconds; a rank whose leader counts the time has none of its own. Throws TSD-030 to TSD-033.
 */
export async function passThrough(world: World, startTimeout = 0): Promise<void> {
  const pmi = await open(world, startTimeout);
  await pmi.fence();
  await pmi.finalize();
}

/**
 * Rank 0's side where it has failed: tells the other hosts' leaders the launch's exit code in place of the hub. Throws
 * TSD-030 to TSD-033.
 */
export async function announceFailure(world: World, exitCode: number): Promise<void> {
  const pmi = await open(world);
  await pmi.put(hubKey, JSON.stringify({ failed: exitCode }));
  await pmi.fence();
  await pmi.finalize();
}

export interface HubExchange {
  /** The key agreed with the leader of this rank; empty when that rank is no leader. */
  readonly keysOf: (rank: number) => Promise<readonly Uint8Array[]>;
  readonly finalize: () => Promise<void>;
}

/**
 * Rank 0's side: announces the hub and, afterwards, knows every leader by its public key. `startTimeout` in seconds.
 * Throws TSD-030 to TSD-033.
 */
export async function announceHub(world: World, hub: Announcement, startTimeout = 0): Promise<HubExchange> {
  const own = keyPair();
  const pmi = await open(world, startTimeout);
  await pmi.put(hubKey, JSON.stringify({ ...hub, publicKey: own.publicKey }));
  await pmi.fence();
  // The store takes one question at a time.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(ask: () => Promise<T>): Promise<T> => {
    const next = last.then(ask, ask);
    last = next.catch(() => undefined);
    return next;
  };
  let over = false;
  return {
    keysOf: (rank) =>
      inTurn(async () => {
        const peer = over ? undefined : await pmi.get(leaderKey(rank));
        return peer === undefined ? [] : [sharedKey(own.privateKey, peer)];
      }),
    finalize: () =>
      inTurn(async () => {
        if (over) return;
        over = true;
        await pmi.finalize();
      }),
  };
}

/**
 * A leader's side: tells its public key, learns where the hub is, and links to it; strangers who crowd the hub cost it
 * attempts, not the launch. `startTimeout` in seconds. Throws TSD-022 when that is over, and TSD-030 to TSD-033. Where
 * rank 0 has failed, the link only says that the launch ends.
 */
export async function meetByExchange(world: World, host: string, startTimeout: number): Promise<Link> {
  const started = performance.now();
  const own = keyPair();
  const pmi = await open(world, startTimeout);
  await pmi.put(leaderKey(world.rank), own.publicKey);
  await pmi.fence();
  const text = await pmi.get(hubKey);
  await pmi.finalize();
  const told: unknown = text === undefined ? undefined : JSON.parse(text);
  const failed = v.safeParse(v.object({ failed: v.number() }), told);
  if (failed.success) return endedLink(failed.output.failed);
  const parsed = v.safeParse(announcement, told);
  if (!parsed.success)
    throw new Failure("TSD-033", {
      launcher: world.launcher,
      rank: world.rank,
      step: "get",
      reply: text === undefined ? "nothing of rank 0" : text.slice(0, 80),
    });
  const { launch, addresses, fingerprint, publicKey } = parsed.output;
  const place = { launch, addresses, fingerprint, key: sharedKey(own.privateKey, publicKey) };
  let wait = 20;
  do {
    const link = await linkToHub(place, { rank: world.rank, host });
    if (link !== undefined) return link;
    if (performance.now() - started > deadlines.hubUnreachable && !(await anyListens(addresses))) break;
    await pause(wait);
    wait = Math.min(wait * 1.5, 500);
  } while (performance.now() - started < startTimeout * 1000);
  throw new Failure("TSD-022", {
    rank: world.rank,
    host,
    hub: "its host",
    addresses: addresses.join(", "),
    seconds: Math.round((performance.now() - started) / 1000),
  });
}
