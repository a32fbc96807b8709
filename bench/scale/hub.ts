// The hub of a launch as rank 0 has it, alone in a process so that its memory can be told. Started by bench/scale.ts.
import { hostname } from "node:os";
import { channelPair } from "../../src/protocol/channel.ts";
import { openHub } from "../../src/rendezvous/hub.ts";
import type { FromLeader, ToLeader } from "../../src/protocol/messages.ts";
import { createLaunch } from "../../src/cluster/launch.ts";
import { plan as planRoles } from "../../src/cluster/plan.ts";
import { createAuthority, fingerprint } from "../../src/security/certificates.ts";
import { silentLog } from "../../src/ui/log.ts";
import { clusterCredentials, fakeHub, ranksOfHost, type Memory, type Order, type Report } from "./messages.ts";

const [hosts = 0, perHost = 0] = process.argv.slice(2).map(Number);
const size = hosts * perHost;
const report = (message: Report): void => void process.send?.(message);
const now = (): number => Number(process.hrtime.bigint()) / 1e6;

function memory(): Memory {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heapUsed, external };
}

const authority = await createAuthority({ launch: fakeHub.launch });
const serverCertificate = await authority.issue({
  name: "hub",
  dnsNames: [hostname(), "localhost"],
  addresses: ["127.0.0.1"],
  server: true,
});
const credentials = await clusterCredentials(authority);
const print = fingerprint(serverCertificate.cert);
let attached = 0;
let registered = 0;

const launch = createLaunch({
  plan: planRoles({ size, scheduler: true, schedulerRank: 0, client: true, exclusiveWorkers: true }),
  folder: "/nowhere",
  schedulerFile: "/nowhere/scheduler.json",
  granted: Promise.resolve(() => undefined),
  secrets: Promise.resolve({ credentials, token: fakeHub.secret }),
  namedByRank: false,
  schedulerReturns: Promise.resolve(false),
  waitWorkers: "all",
  startTimeout: 600,
  grace: 10,
  scriptName: "script.py",
  jupyter: false,
  prompt: false,
  idleTimeout: undefined,
  join: undefined,
  log: silentLog,
  hooks: {
    onScheduler: async () => undefined,
    onSchedulerBack: async () => undefined,
    seek: async () => undefined,
    onWorkers: (workers) => {
      registered = workers.size;
    },
    onWaiting: () => undefined,
    // The script starts when all workers are in: the hub has handled them all.
    client: async () => {
      report({ t: "all-workers", at: now(), registered, memory: memory() });
      return { t: "client", file: "true", args: [], python: "/bin/python3", env: {}, grace: 1 };
    },
    onClient: () => undefined,
    onStdin: async () => null,
    onJupyter: () => undefined,
    onFailure: ({ code, facts }) => report({ t: "failure", text: `${code} ${JSON.stringify(facts)}` }),
    onPythons: () => undefined,
    onUsage: () => undefined,
    retire: async () => undefined,
    onEnd: async () => undefined,
    finished: () => report({ t: "finished", at: now() }),
  },
});

// Rank 0's own host needs no network.
const [own, theirs] = channelPair<FromLeader, ToLeader>();
launch.attach(theirs, hostname(), 0);
own.onMessage(() => undefined);
own.send({ t: "ranks", ranks: ranksOfHost(0, perHost) });
attached += 1;

const before = memory();
const hub = await openHub({
  launch: fakeHub.launch,
  size,
  cert: serverCertificate.cert,
  key: serverCertificate.key,
  fingerprint: print,
  host: "127.0.0.1",
  keysOf: async () => [fakeHub.secret],
  onHost: (channel, host, rank) => {
    launch.attach(channel, host, rank);
    attached += 1;
    if (attached === hosts) report({ t: "all-hosts", at: now(), memory: memory() });
  },
});
report({ t: "open", port: hub.port, fingerprint: print, memory: before });

process.on("message", (order: Order) => {
  switch (order.t) {
    case "address":
      report({ t: "address-sent", at: now() });
      own.send({
        t: "event",
        rank: 0,
        event: {
          k: "scheduler-ready",
          address: fakeHub.address,
          identity: { type: "Scheduler", id: "Scheduler-1" },
          dashboard: 8787,
        },
      });
      break;
    case "own-workers":
      for (const rank of ranksOfHost(0, perHost).slice(2))
        own.send({ t: "event", rank, event: fakeHub.workerReady(rank) });
      break;
    case "end":
      own.onMessage((message) => {
        if (message.t === "end") own.send({ t: "host-done" });
      });
      report({ t: "end-sent", at: now() });
      launch.end({ kind: "closed" }, 0);
      break;
    case "leave":
      hub.close();
      process.exit(0);
  }
});
