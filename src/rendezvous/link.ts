import { createHash } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { WebSocket } from "ws";
import { deadlines } from "../deadlines.ts";
import { proof } from "../security/tokens.ts";
import { channelPair, inbox, type Channel } from "../protocol/channel.ts";
import { joinParts } from "./hub.ts";
import { controlVersion, type FromLeader, type ToLeader } from "../protocol/messages.ts";
import { acceptToLeader } from "../protocol/schemas.ts";
import { largestMessage, wsChannel } from "../protocol/ws-channel.ts";

/**
 * Where the hub is and how it is known: from a record that only the owner reads, or from the launcher's key-value
 * store.
 */
export interface HubPlace {
  readonly launch: string;
  /** `host:port` or `[v6]:port`, the likeliest first. */
  readonly addresses: readonly string[];
  /** SHA-256 of the hub's certificate, hexadecimal: the hub is believed by it, whatever address answers. */
  readonly fingerprint: string;
  /** What this leader proves to hold. */
  readonly key: string | Uint8Array;
}

export interface Link {
  readonly channel: Channel<FromLeader, ToLeader>;
  /** This host's own address on the way to the hub: one that rank 0's host can reach. */
  readonly localAddress: string | undefined;
}

/**
 * Connects a leader to the hub: all its addresses are tried at once, the first that answers with the right certificate
 * is taken, and the leader proves its launch. Resolves to undefined when none answers within `deadlines.hubConnect`.
 */
export async function linkToHub(
  place: HubPlace,
  { rank, host }: { readonly rank: number; readonly host: string },
): Promise<Link | undefined> {
  const attempts = place.addresses.map((address) => attempt(address, place, rank, host));
  const first = await Promise.any(attempts.map((one) => one.opened)).catch(() => undefined);
  for (const one of attempts) if (one.ws !== first?.ws) one.ws.terminate();
  return first?.link;
}

interface Opened {
  readonly ws: WebSocket;
  readonly link: Link;
}

function attempt(
  address: string,
  place: HubPlace,
  rank: number,
  host: string,
): { readonly ws: WebSocket; readonly opened: Promise<Opened> } {
  // The certificate is checked by its fingerprint, which is stronger than any name or authority.
  const ws = new WebSocket(`wss://${address}/`, {
    rejectUnauthorized: false,
    handshakeTimeout: deadlines.hubConnect,
    perMessageDeflate: false,
    maxPayload: largestMessage,
  });
  const opened = new Promise<Opened>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("no answer in time")), deadlines.hubConnect);
    ws.once("error", reject);
    ws.once("close", () => reject(new Error("closed")));
    ws.once("upgrade", (response) => {
      const socket = response.socket as TLSSocket;
      if (printOf(socket) !== place.fingerprint) {
        ws.terminate();
        return;
      }
      const channel = wsChannel<FromLeader, ToLeader>(ws, acceptToLeader, deadlines.hubSilence);
      const later = inbox<ToLeader>();
      channel.onMessage((message) => {
        if (message.t !== "challenge") {
          later.deliver(message);
          return;
        }
        const parts = joinParts({
          nonce: message.nonce,
          launch: place.launch,
          rank,
          host,
          fingerprint: place.fingerprint,
        });
        channel.send({
          t: "join",
          v: controlVersion,
          launch: place.launch,
          host,
          rank,
          proof: proof(place.key, parts),
          time: Date.now(),
        });
        clearTimeout(late);
        resolve({
          ws,
          link: { channel: { ...channel, onMessage: later.onMessage }, localAddress: socket.localAddress },
        });
      });
    });
  });
  return { ws, opened };
}

/** The SHA-256 (hexadecimal) of the certificate at the other end of a connection; empty where there is none. */
export function printOf(socket: TLSSocket): string {
  const certificate = socket.getPeerCertificate(false).raw as Buffer | undefined;
  return certificate === undefined ? "" : createHash("sha256").update(certificate).digest("hex");
}

/**
 * A link to a hub that was never opened: it says that the launch ends with this code, and closes when the host is done.
 */
export function endedLink(code: number): Link {
  const [channel, hub] = channelPair<FromLeader, ToLeader>();
  hub.onMessage(({ t }) => {
    if (t === "host-done") hub.close();
  });
  hub.send({ t: "end", code, grace: 0 });
  return { channel, localAddress: undefined };
}
