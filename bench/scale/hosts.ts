// Many hosts in one process, each with a connection of its own to the hub and its ranks behind it. Started by
// bench/scale.ts.
import { channelPair } from "../../src/protocol/channel.ts";
import { linkToHub } from "../../src/rendezvous/link.ts";
import type { FromRank, ToRank } from "../../src/protocol/messages.ts";
import { fakeHub, ranksOfHost, type HostsOrder, type HostsReport } from "./messages.ts";

const [from = 0, to = 0, perHost = 0] = process.argv.slice(2).map(Number);
/** Connections that this process opens at once: a host has one, but its kernel would not be shared with others. */
const atOnce = 50;
const report = (message: HostsReport): void => void process.send?.(message);
const now = (): number => Number(process.hrtime.bigint()) / 1e6;
let told = 0;
let ended = 0;
const startWorkers: (() => void)[] = [];

async function host(index: number, place: { readonly port: number; readonly fingerprint: string }): Promise<void> {
  const name = `node${index}`;
  const ranks = ranksOfHost(index, perHost);
  const [leader = 0] = ranks;
  const link = await patiently(() =>
    linkToHub(
      {
        launch: fakeHub.launch,
        addresses: [`127.0.0.1:${place.port}`],
        fingerprint: place.fingerprint,
        key: fakeHub.secret,
      },
      { rank: leader, host: name },
    ),
  );
  const { channel } = link;
  const seats = ranks.map(() => {
    const [mine, theirs] = channelPair<ToRank, FromRank>();
    theirs.onMessage((message) => {
      if (message.t !== "address") return;
      told += 1;
      if (told === (to - from) * perHost) report({ t: "told", at: now(), ranks: told });
    });
    return mine;
  });
  channel.onMessage((message) => {
    if (message.t === "address") for (const seat of seats) seat.send({ t: "address", scheduler: message.scheduler });
    if (message.t === "end") {
      channel.send({ t: "host-done" });
      ended += 1;
      if (ended === to - from) report({ t: "ended", at: now() });
    }
  });
  channel.send({ t: "ranks", ranks });
  channel.send({
    t: "python",
    report: {
      host: name,
      executable: "/opt/python/bin/python",
      python: "3.11.7",
      dask: "2026.8.0",
      distributed: "2026.8.0",
      packages: { msgpack: "1.1.0", tornado: "6.5", cloudpickle: "3.1", toolz: "1.0" },
    },
  });
  startWorkers.push(() => {
    for (const rank of ranks) channel.send({ t: "event", rank, event: fakeHub.workerReady(rank) });
  });
}

/** A connection that did not come up in time is tried again, as a leader does. */
async function patiently<T>(connect: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const link = await connect();
    if (link !== undefined) return link;
  }
}

process.on("message", (order: HostsOrder) => {
  if (order.t === "workers") {
    for (const start of startWorkers) start();
    return;
  }
  const waiting = Array.from({ length: to - from }, (_, index) => from + index);
  const next = async (): Promise<void> => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) await host(index, order);
  };
  void Promise.all(Array.from({ length: atOnce }, next)).then(() => report({ t: "connected", at: now() }));
});
