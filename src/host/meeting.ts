import { lookup } from "node:dns/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { ReadResult } from "../config/read.ts";
import type { Plan } from "../cluster/plan.ts";
import { startRankZero, type RankZero } from "../cluster/rank-zero.ts";
import { siteCredentials } from "../cluster/secrets.ts";
import { deadlines } from "../deadlines.ts";
import { Failure } from "../errors/failure.ts";
import { shortName } from "../launcher/host-paths.ts";
import { signalNumber } from "../launcher/signals.ts";
import { interfaceAddresses, type InterfaceAddress, listeningAddress, reachableAddresses } from "../net/interfaces.ts";
import type { Channel } from "../protocol/channel.ts";
import type { FromLeader, ToLeader } from "../protocol/messages.ts";
import { checkStart } from "./checks.ts";
import type { ForkServer } from "./fork-server.ts";
import type { LaunchPlace } from "./launch-place.ts";
import type { LeadContext } from "./lead-context.ts";
import { refuseLoopback } from "./connection-check.ts";

/** How a host's agent and the hub have met. */
export interface Meeting {
  /** Rank 0's own part, on its host. */
  readonly zero: RankZero | undefined;
  readonly up: Promise<Channel<FromLeader, ToLeader>>;
  /** This host's address that the others reach, as far as it is known by now. */
  readonly localAddress: () => string | undefined;
  /** This host is told to end: where it meets nobody soon, it gives up (`ToldToEnd`). */
  readonly interrupt: (signal: string) => void;
  /** Leaves with this code, the hub closed before. */
  readonly leave: (code: number) => void;
}

/** A host was told to end by a signal, and has met nobody whom it could tell so. */
export class ToldToEnd extends Error {
  readonly exitCode: number;

  constructor(signal: string) {
    super(signal);
    this.exitCode = 128 + signalNumber(signal);
  }
}

interface MeetingInput {
  readonly context: LeadContext;
  readonly host: string;
  readonly read: ReadResult;
  readonly plan: Plan;
  readonly python: string;
  readonly place: LaunchPlace;
  readonly forkServer: ForkServer;
}

/**
 * Becomes the hub on rank 0, and looks for it on every other host. Throws what is wrong with addresses, script or
 * input; a hub that is not found rejects `up`.
 */
export async function meetHub(input: MeetingInput): Promise<Meeting> {
  const { world } = input.context;
  const { options } = input.read;
  const { multiHost } = input.place;
  refuseLoopback({ ...options, size: world.size, localSize: world.localSize });
  const address =
    options.contact === "hostname"
      ? await addressOfName(input.host, multiHost, interfaceAddresses())
      : await addressWhenUp(options.interface, !multiHost);
  if (world.rank === 0) return beHub(input, address, [...new Set([address, ...reachableAddresses()])]);
  return findHub(input, address);
}

/** As `listeningAddress`; a network that is down at this moment is waited for. */
async function addressWhenUp(name: string | undefined, singleHost: boolean): Promise<string> {
  const until = performance.now() + deadlines.networkUp;
  for (;;) {
    try {
      return listeningAddress({ interface: name, singleHost });
    } catch (error) {
      const down = error instanceof Failure && error.code === "TSD-029";
      if (!down || performance.now() > until) throw error;
      await pause(250);
    }
  }
}

async function beHub(
  { context, host, read, plan, python, place, forkServer }: MeetingInput,
  address: string,
  addresses: readonly string[],
): Promise<Meeting> {
  const { world, env, cwd, out, pythonRoot } = context;
  const { options, sources } = read;
  const { key, schedulerFile, folder, multiHost, usePmi } = place;
  let beforeExit = async (): Promise<void> => undefined;
  const leave = (code: number): void => {
    void beforeExit()
      .catch(() => undefined)
      .then(() => context.exit(code));
  };
  await checkStart(context, options, plan);
  const zero = await startRankZero({
    world,
    options,
    sources,
    plan,
    env,
    cwd,
    out,
    python,
    pythonRoot,
    key,
    folder,
    schedulerFile,
    // A script's environment names its own cluster's file, which a launch inside the script must not take over.
    schedulerFileIsDefault: ["default", "environment"].includes(sources.schedulerFile.kind),
    multiHost,
    localSize: context.alone ? 1 : world.localSize,
    workersAreNamed: sources.name.kind !== "default",
    addresses,
    forkServer: Promise.resolve(forkServer),
    join: options.scheduler
      ? undefined
      : import("../cluster/join.ts").then(async ({ findCluster }) =>
          findCluster(options, schedulerFile, await siteCredentials(options)),
        ),
    prompt: context.prompt,
    started: context.started,
    finished: (code) => leave((plan.clientRank ?? 0) === 0 ? code : 0),
  });
  const failed = (error: unknown): void =>
    zero.launch.fail(
      error instanceof Failure ? error : new Failure("TSD-070", { rank: 0, host, problem: String(error), log: folder }),
    );
  if (multiHost) {
    const { openRankZeroHub } = await import("../cluster/rank-zero-hub.ts");
    const useFile = options.rendezvous !== "pmi";
    const tls = options.security !== "none";
    const { startTimeout } = options;
    openRankZeroHub({ world, zero, key, folder, addresses, usePmi, useFile, tls, startTimeout }).then((hub) => {
      beforeExit = async () => {
        hub.close();
        await hub.finalize();
      };
    }, failed);
  }
  return { zero, up: Promise.resolve(zero.up), localAddress: () => address, interrupt: () => undefined, leave };
}

async function findHub({ context, host, read, place }: MeetingInput, address: string): Promise<Meeting> {
  const { world } = context;
  const { startTimeout, interface: named, contact } = read.options;
  const { key, folder, usePmi } = place;
  const link = usePmi
    ? (await import("../rendezvous/exchange.ts")).meetByExchange(world, host, startTimeout)
    : (await import("../rendezvous/record.ts")).meetByRecord({
        folder,
        launch: shortName(key),
        rank: world.rank,
        host,
        localSize: world.localSize,
        startTimeout,
      });
  let localAddress = address;
  const met = link.then((found) => {
    // The address that this host had on the way to rank 0 is one that rank 0's host can reach. Where both kinds are
    // there and IPv6 was quicker, the host's own IPv4 address stays: the Dask processes of a cluster speak one kind.
    const seen = found.localAddress?.replace(/^::ffff:/, "");
    const sameKind = seen?.includes(":") === localAddress.includes(":");
    if (named === undefined && contact === "address" && sameKind) localAddress = seen ?? localAddress;
    return found.channel;
  });
  return { zero: undefined, ...orToldToEnd(met), localAddress: () => localAddress, leave: context.exit };
}

/**
 * What comes, unless `interrupt` has been called and it does not come soon: a rank 0 that had the same signal may be
 * gone, and one that had not is to hear of it.
 */
export function orToldToEnd<T>(coming: Promise<T>): {
  readonly up: Promise<T>;
  readonly interrupt: (signal: string) => void;
} {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  coming.then(resolve, reject);
  const interrupt = (signal: string): void =>
    void setTimeout(() => reject(new ToldToEnd(signal)), deadlines.toldUnmet).unref();
  return { up: promise, interrupt };
}

/** The address that this host's own name stands for: who is told the name must find us there. Throws TSD-064. */
export async function addressOfName(
  host: string,
  multiHost: boolean,
  known: readonly InterfaceAddress[],
  look: (host: string) => Promise<readonly { readonly address: string }[]> = (name) => lookup(name, { all: true }),
): Promise<string> {
  const found = await look(host).catch((error: unknown) => {
    throw new Failure("TSD-064", { host, problem: error instanceof Error ? error.message : String(error) });
  });
  const own = found.find(({ address }) => known.some((one) => one.address === address && !(multiHost && one.internal)));
  if (own === undefined)
    throw new Failure("TSD-064", { host, problem: found.map(({ address }) => address).join(", ") });
  return own.address;
}
