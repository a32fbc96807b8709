import { createServer, type Server } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { randomBytes } from "node:crypto";
import { WebSocketServer, type WebSocket } from "ws";
import { deadlines } from "../deadlines.ts";
import { checkProof } from "../security/tokens.ts";
import type { Channel } from "../protocol/channel.ts";
import type { FromLeader, ToLeader } from "../protocol/messages.ts";
import { countRefusals } from "./refusals.ts";
import { acceptFromLeader } from "../protocol/schemas.ts";
import { holdUnproved, openFileLimit, sourceOf, type Guest, type Unproved } from "./unproved.ts";
import { largestMessage, wsChannel } from "../protocol/ws-channel.ts";

export interface HubOptions {
  readonly launch: string;
  readonly size: number;
  /** PEM. The leaders pin its fingerprint; no authority has to be trusted. */
  readonly cert: string;
  readonly key: string;
  readonly host?: string;
  /** The keys that the leader of this rank may prove to hold: the record's secret, the key agreed with it over PMI. */
  readonly keysOf: (rank: number) => Promise<readonly (string | Uint8Array)[]>;
  /** How many connections were refused since the last time, by kind; at most once a minute. */
  readonly onRefused?: (counts: Readonly<Record<string, number>>) => void;
  readonly onHost: (
    channel: Channel<ToLeader, FromLeader>,
    host: string,
    rank: number,
    /** `ahead`: so long (ms) the host's clock is before this one's. `version`: of its messages. */
    via: { readonly localAddress: string | undefined; readonly ahead: number; readonly version: number },
  ) => void;
}

export interface Hub {
  readonly port: number;
  readonly close: () => void;
}

/**
 * Connections that may stand unproved at once, beside a place for every rank and never more than a quarter of the files
 * that may be open.
 */
const mostUnproved = 512;
const pingEvery = 5_000;
/**
 * Bytes that a leader may send before its proof is checked: some hundred ranks of its host tell themselves in far less.
 */
const mostEarly = 256 * 1024;

/** What a leader signs to prove that it belongs to the launch: everything that makes the proof worthless elsewhere. */
export function joinParts({
  nonce,
  launch,
  rank,
  host,
  fingerprint,
}: {
  readonly nonce: string;
  readonly launch: string;
  readonly rank: number;
  readonly host: string;
  readonly fingerprint: string;
}): readonly string[] {
  return ["tsdask-mpi join", nonce, launch, String(rank), host, fingerprint];
}

/**
 * Listens at a port that the system chooses, on all addresses where none is asked for. Rejects with what the system
 * says.
 */
async function listenAnywhere(server: Server, host: string | undefined): Promise<void> {
  const listen = (at: string): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ port: 0, host: at, exclusive: true }, resolve);
    });
  try {
    await listen(host ?? "::");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A machine without IPv6.
    if (code !== "EAFNOSUPPORT" && code !== "EADDRNOTAVAIL") throw error;
    await listen("0.0.0.0");
  }
}

/**
 * Opens the hub: a WebSocket server over TLS that takes the leaders of one launch, each after it has answered a
 * challenge. Everything else is turned away within a deadline, without a word. Rejects when no port can be had.
 */
export async function openHub(options: HubOptions & { readonly fingerprint: string }): Promise<Hub> {
  const server = createServer(
    {
      cert: options.cert,
      key: options.key,
      minVersion: "TLSv1.3",
      handshakeTimeout: deadlines.hubProof,
      connectionsCheckingInterval: 1000,
    },
    (_, response) => {
      refusals.count("http");
      response.writeHead(404).end();
    },
  );
  server.headersTimeout = deadlines.hubProof;
  server.requestTimeout = deadlines.hubProof;
  server.keepAliveTimeout = 1;
  const wss = new WebSocketServer({
    noServer: true,
    maxPayload: largestMessage,
    perMessageDeflate: false,
    clientTracking: false,
  });
  const proved = new Set<WebSocket>();
  const refusals = countRefusals((counts) => options.onRefused?.(counts));
  const most = Math.min(mostUnproved + options.size, Math.floor(openFileLimit() / 4));
  const unproved = holdUnproved<Guest>({ most, mostOfSource: Math.ceil(most / 4), onEnd: refusals.count });
  const answered = new WeakSet<Guest>();
  const guests = holdGuests(server, unproved, answered);
  server.on("tlsClientError", (_, socket) => {
    refusals.count("tls");
    socket.destroy();
  });
  // Without a descriptor left, Node closes what it cannot take and says so here; an error that nobody hears would end
  // rank 0.
  server.on("error", (error: NodeJS.ErrnoException) => refusals.count(error.code ?? "error"));
  server.on("upgrade", (request, socket, head) => {
    const { localAddress } = request.socket;
    const guest = guests.get(nameOf(request.socket));
    wss.handleUpgrade(request, socket, head, (ws) => {
      ws.on("close", () => proved.delete(ws));
      void receive(ws, options, () => guest !== undefined && answered.add(guest)).then((joined) => {
        if (joined === undefined) {
          refusals.count("unproved");
          ws.terminate();
          return;
        }
        if (guest !== undefined) unproved.leave(guest);
        proved.add(ws);
        options.onHost(joined.channel, joined.host, joined.rank, { ...joined, localAddress });
      });
    });
    socket.on("error", () => socket.destroy());
  });
  const pings = setInterval(() => {
    for (const ws of proved) ws.ping();
  }, pingEvery);
  pings.unref();
  await listenAnywhere(server, options.host);
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      clearInterval(pings);
      unproved.close();
      refusals.close();
      for (const ws of proved) ws.close();
      server.close();
      server.closeAllConnections();
    },
  };
}

/**
 * Enters each connection among the unproved ones, until it closes; by its other end's address, because a TLS socket
 * does not name the plain one below it.
 */
function holdGuests(
  server: Server,
  unproved: Pick<Unproved<Guest>, "enter" | "leave">,
  answered: WeakSet<Guest>,
): ReadonlyMap<string, Guest> {
  const guests = new Map<string, Guest>();
  server.on("connection", (socket: Socket) => {
    const name = nameOf(socket);
    const guest: Guest = {
      source: sourceOf(socket.remoteAddress),
      heard: () => socket.bytesRead > 0,
      answered: () => answered.has(guest),
      end: () => socket.destroy(),
    };
    guests.set(name, guest);
    unproved.enter(guest);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      unproved.leave(guest);
      if (guests.get(name) === guest) guests.delete(name);
    });
  });
  return guests;
}

/** A connection's other end, as both the plain socket and the TLS socket over it know it. */
function nameOf({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">): string {
  return `${remoteAddress} ${remotePort}`;
}

/** A leader that has proved to be of the launch. */
interface Joined {
  readonly channel: Channel<ToLeader, FromLeader>;
  readonly host: string;
  readonly rank: number;
  readonly ahead: number;
  readonly version: number;
}

/**
 * Challenges one connection; resolves to its channel when it proved to be of the launch in time, else to undefined.
 * Never rejects.
 */
async function receive(
  ws: WebSocket,
  options: HubOptions & { readonly fingerprint: string },
  onAnswer: () => void,
): Promise<Joined | undefined> {
  const channel = wsChannel<ToLeader, FromLeader>(ws, acceptFromLeader, deadlines.hubSilence);
  const nonce = randomBytes(32).toString("base64url");
  const { promise, resolve } = Promise.withResolvers<FromLeader | undefined>();
  const patience = setTimeout(resolve, deadlines.hubProof, undefined);
  channel.onClose(() => resolve(undefined));
  const later: FromLeader[] = [];
  let laterBytes = 0;
  let first = true;
  channel.onMessage((message) => {
    if (first) {
      first = false;
      resolve(message);
      return;
    }
    laterBytes += JSON.stringify(message).length;
    if (laterBytes <= mostEarly) later.push(message);
    else ws.terminate();
  });
  channel.send({ t: "challenge", nonce });
  const join = await promise;
  clearTimeout(patience);
  if (join?.t !== "join") return undefined;
  const { host, rank, launch } = join;
  const ahead = join.time === undefined ? 0 : join.time - Date.now();
  if (rank >= options.size) return undefined;
  onAnswer();
  const parts = joinParts({ nonce, launch: options.launch, rank, host, fingerprint: options.fingerprint });
  const keys = await options.keysOf(rank).catch(() => []);
  if (launch !== options.launch || !keys.some((key) => checkProof(key, parts, join.proof))) return undefined;
  return {
    host,
    rank,
    ahead,
    version: join.v,
    channel: {
      ...channel,
      onMessage: (reader) => {
        channel.onMessage(reader);
        for (const message of later.splice(0)) reader(message);
      },
    },
  };
}
