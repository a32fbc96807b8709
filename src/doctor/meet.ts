import { existsSync, writeFileSync } from "node:fs";
import { lookup } from "node:dns/promises";
import { rm } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { endWorkerJobs } from "../batch/end-jobs.ts";
import { clockTrouble } from "../cluster/clocks.ts";
import { removeClusterFolder, takeClusterFolder } from "../cluster/folder.ts";
import { hostPort } from "../dask/address.ts";
import { deadlines } from "../deadlines.ts";
import { launchPlace, type LaunchPlace } from "../host/launch-place.ts";
import { shortName } from "../launcher/host-paths.ts";
import { livingNeighbours } from "../launcher/neighbours.ts";
import type { World } from "../launcher/world.ts";
import { reachableAddresses } from "../net/interfaces.ts";
import { whyUnreachable } from "../net/connection-check.ts";
import type { Channel } from "../protocol/channel.ts";
import type { FromLeader, ToLeader } from "../protocol/messages.ts";
import { randomToken } from "../security/tokens.ts";
import type { DoctorContext } from "./context.ts";
import { compareRows, type Findings, type Met, type Reach } from "./compare.ts";
import { examine } from "./this-host.ts";
import { foretold, type HostReport, type Row } from "./row.ts";

/** The first ranks of the hosts of a launch meet as those of a real one do, and rank 0 gets what each has seen. */
export interface DoctorLaunch {
  readonly context: DoctorContext;
  readonly world: World;
}

/**
 * The host's findings for rank 0, from another host; resolves to the exit code of this rank. Throws TSD-021, TSD-022,
 * TSD-030 to TSD-033.
 */
export async function reportToRankZero({ context, world }: DoctorLaunch): Promise<number> {
  const place = placeOf({ context, world });
  const findings = examineHere({ context, world });
  const link = place.usePmi
    ? await (await import("../rendezvous/exchange.ts")).meetByExchange(
        world,
        context.host,
        deadlines.doctorMeets / 1000,
      )
    : await (await import("../rendezvous/record.ts")).meetByRecord({
        folder: place.folder,
        launch: shortName(place.key),
        rank: world.rank,
        host: context.host,
        startTimeout: deadlines.doctorMeets / 1000,
      });
  const { promise, resolve } = Promise.withResolvers<number>();
  const { channel } = link;
  channel.onMessage((message) => {
    if (message.t === "probe") void probe(message, channel);
    if (message.t === "end") channel.send({ t: "host-done" });
  });
  channel.onClose(() => resolve(0));
  const { server, ...found } = await findings;
  channel.send({ t: "findings", text: JSON.stringify(found satisfies Findings) });
  await Promise.race([promise, pause(deadlines.doctorReports, undefined, { ref: false })]);
  server.close();
  return 0;
}

async function probe(
  { peers, file }: Extract<ToLeader, { t: "probe" }>,
  channel: Channel<FromLeader, ToLeader>,
): Promise<void> {
  const unreachable = await Promise.all(
    peers.map(async (peer) => ({ ...peer, problem: await whyNoneReached(peer.addresses) })),
  );
  const answer: Reach = {
    unreachable: unreachable.flatMap(({ host, problem }) => (problem === undefined ? [] : [{ host, problem }])),
    nameless: await namesUnknown(peers),
    shared: existsSync(file),
  };
  channel.send({ t: "findings", text: JSON.stringify(answer) });
}

/** Those of other hosts whose names lead to no address here. */
async function namesUnknown(peers: readonly { readonly host: string }[]): Promise<string[]> {
  const isKnown = async (name: string): Promise<boolean> => {
    const found = lookup(name).then(
      () => true,
      () => false,
    );
    return Promise.race([found, pause(deadlines.hubConnect, false, { ref: false })]);
  };
  const all = await Promise.all(peers.map(async ({ host }) => ((await isKnown(host)) ? [] : [host])));
  return all.flat();
}

/** Why none of a host's addresses takes a connection; undefined when one does. */
async function whyNoneReached(addresses: readonly string[]): Promise<string | undefined> {
  const problems = await Promise.all(
    addresses.map(async (address) => {
      const at = address.lastIndexOf(":");
      return whyUnreachable(
        address.slice(0, at).replace(/^\[|\]$/g, ""),
        Number(address.slice(at + 1)),
        deadlines.hubConnect,
      );
    }),
  );
  return problems.includes(undefined) ? undefined : `${addresses[0] ?? "?"}: ${problems[0] ?? "it has no address"}`;
}

/**
 * Rank 0's side: looks at its own host, and gathers what the others have seen. Never throws: a meeting that fails is a
 * row.
 */
export async function gatherReports({ context, world }: DoctorLaunch): Promise<readonly HostReport[]> {
  const place = placeOf({ context, world });
  const own = examineHere({ context, world });
  const met: Met[] = [];
  const rows: Row[] = [];
  const file = join(dirname(place.schedulerFile), `.tsdask-doctor-${randomToken().slice(0, 12)}`);
  let close = async (): Promise<void> => undefined;
  try {
    close = await open({ context, world }, place, met);
    await untilAll(met, world, own);
    writeFileSync(file, "", { mode: 0o600, flag: "wx" });
    await askEachOther(met, await own, file);
  } catch (error) {
    rows.push(foretold("hosts", "meeting", error));
  } finally {
    for (const { channel } of met) channel.send({ t: "end", code: 0, grace: 0 });
    await rm(file, { force: true }).catch(() => undefined);
  }
  const { server, ...mine } = await own;
  server.close();
  const reports = compareRows({
    zero: mine,
    met,
    world,
    rows,
    pmi: place.usePmi,
    byName: context.options.contact === "hostname",
  });
  // The others hear of the end before their connection goes.
  await pause(100);
  await close();
  return reports;
}

async function open({ context, world }: DoctorLaunch, place: LaunchPlace, met: Met[]): Promise<() => Promise<void>> {
  const { createAuthority, fingerprint } = await import("../security/certificates.ts");
  const { openHub } = await import("../rendezvous/hub.ts");
  const { announceHub } = await import("../rendezvous/exchange.ts");
  const { publishRecord } = await import("../rendezvous/record.ts");
  const authority = await createAuthority({ launch: "doctor" });
  const certificate = await authority.issue({ name: "hub", dnsNames: [context.host], server: true });
  const launch = shortName(place.key);
  const secret = randomToken();
  let keysOf: (rank: number) => Promise<readonly (string | Uint8Array)[]> = async () => [secret];
  const hub = await openHub({
    launch,
    size: world.size,
    ...certificate,
    fingerprint: fingerprint(certificate.cert),
    keysOf: (rank) => keysOf(rank),
    onHost: (channel, host, rank, { ahead }) => {
      const one: Met = {
        channel,
        host,
        rank,
        clock: clockTrouble({ host, zero: context.host, ahead, tls: true }),
      };
      channel.onMessage((message) => {
        if (message.t !== "findings") return;
        const told = JSON.parse(message.text) as Findings | Reach;
        if ("rows" in told) one.findings = told;
        else one.reach = told;
      });
      met.push(one);
    },
  });
  const where = {
    launch,
    addresses: reachableAddresses().map((address) => hostPort(address, hub.port)),
    fingerprint: fingerprint(certificate.cert),
  };
  if (place.usePmi) {
    const exchange = announceHub(world, where);
    keysOf = async (rank) => (await exchange).keysOf(rank);
    const told = await exchange;
    return async () => {
      hub.close();
      await told.finalize();
    };
  }
  await takeClusterFolder(place.folder, context.host, (left) => endWorkerJobs(left, context.env));
  await publishRecord(place.folder, { v: 1, ...where, pid: process.pid, host: context.host, secret });
  return async () => {
    hub.close();
    await removeClusterFolder(place.folder);
  };
}

/**
 * Waits until every rank of the launch is one of a host that has reported, or until the time is over: longer for hosts
 * that have met and still look.
 */
async function untilAll(met: readonly Met[], world: World, own: Promise<Findings>): Promise<void> {
  const began = performance.now();
  const { ranks } = await own;
  for (;;) {
    const reported = met.reduce((sum, { findings }) => sum + (findings?.ranks ?? 0), 0);
    if (reported + ranks >= world.size) return;
    const looking = met.some(({ findings }) => findings === undefined);
    if (performance.now() - began > (looking ? deadlines.doctorReports : deadlines.doctorMeets)) return;
    await pause(50);
  }
}

/** Each host tries some of the others: all of them where there are few. */
const mostPeers = 7;

async function askEachOther(met: readonly Met[], own: Findings, file: string): Promise<void> {
  const reporting = met.flatMap(({ channel, findings }) => (findings === undefined ? [] : [{ channel, findings }]));
  const hosts = [own, ...reporting.map(({ findings }) => findings)];
  reporting.forEach(({ channel }, index) => {
    const others = hosts.filter((_, at) => at !== index + 1);
    const start = others.length <= mostPeers ? 0 : index % others.length;
    const peers = [...others, ...others].slice(start, start + Math.min(mostPeers, others.length));
    channel.send({
      t: "probe",
      peers: peers.map(({ host, addresses }) => ({ host, addresses: [...addresses] })),
      file,
    });
  });
  const mine = Promise.all(
    hosts
      .slice(1, 1 + mostPeers)
      .map(async ({ host, addresses }) => ({ host, problem: await whyNoneReached(addresses) })),
  );
  own.unreachable.push(
    ...(await mine).flatMap(({ host, problem }) => (problem === undefined ? [] : [{ host, problem }])),
  );
  own.nameless.push(...(await namesUnknown(hosts.slice(1, 1 + mostPeers))));
  const until = performance.now() + 2 * deadlines.hubConnect;
  const unheard = (one: Met): boolean => one.findings !== undefined && one.reach === undefined;
  while (performance.now() < until && met.some(unheard)) await pause(50);
}

/** This host's findings, and the port at which the others try it. */
async function examineHere({ context, world }: DoctorLaunch): Promise<Findings & { readonly server: Server }> {
  const server = createServer((socket) => socket.destroy());
  server.on("error", () => undefined);
  await new Promise<void>((resolve) => {
    server.once("error", () => resolve());
    server.listen({ port: 0, host: "0.0.0.0", exclusive: true }, resolve);
  });
  const port = (server.address() as AddressInfo | null)?.port ?? 0;
  // Where the launcher does not tell, those that live: they leave at once, so they are counted first.
  const ranks = world.localSize ?? livingNeighbours(world, { parent: process.ppid })?.length ?? 1;
  const report = await examine(context);
  const addresses = reachableAddresses().filter((address) => !address.includes(":"));
  return {
    ...report,
    ranks,
    addresses: addresses.slice(0, 3).map((address) => hostPort(address, port)),
    unreachable: [],
    nameless: [],
    server,
  };
}

function placeOf({ context, world }: DoctorLaunch): LaunchPlace {
  const { options, env, cwd } = context;
  return launchPlace({ world, options, env, cwd, hostKey: "" });
}
