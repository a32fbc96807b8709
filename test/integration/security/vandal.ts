/**
 * Somebody who means harm, as a program of its own so that it can stand on any host: reads `{ targets, tries }` on
 * stdin, opens that many malformed, huge, slow and half-open connections to every target, and writes how they ended, as
 * JSON.
 */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { text } from "node:stream/consumers";
import { WebSocket } from "ws";

/** A door: a TCP port or a unix socket. */
export type Door = { readonly host: string; readonly port: number } | { readonly path: string };

export interface Raid {
  readonly doors: readonly Door[];
  /** Connections per door; half-open ones are a tenth of them and are all held at once. */
  readonly tries: number;
  /** Which protocol is spoken there: the hub's WebSockets over TLS, or lines of JSON. */
  readonly wire: "hub" | "lines";
}

export interface Spoils {
  readonly tries: number;
  /** Ended by the other side, or refused. */
  readonly ended: number;
  /** Still open when patience was lost, and then dropped. */
  readonly held: number;
  /** Bytes that came back, all together. */
  readonly heard: number;
}

const ATONCE = 40;
/**
 * How long a connection is held open when the other side does not end it, in ms: the hub must end all, the owner's own
 * sockets need not.
 */
const PATIENCE: Readonly<Record<Raid["wire"], number>> = { hub: 30_000, lines: 1_500 };
const MEGABYTE = 1024 * 1024;

type Attack = (door: Door) => Socket | WebSocket;

/** A connection that sends these bytes, over and over `times`, and then waits. */
const sending =
  (bytes: () => Buffer | string, times = 1): Attack =>
  (door) => {
    const socket = connect(door);
    socket.once("connect", () => pour(socket, bytes, times));
    return socket;
  };

const overTls =
  (bytes: (() => Buffer | string) | undefined, times = 1): Attack =>
  (door) => {
    const socket = connectTls({ ...door, rejectUnauthorized: false });
    if (bytes !== undefined) socket.once("secureConnect", () => pour(socket, bytes, times));
    return socket;
  };

const overWebSocket =
  (messages: readonly (() => Buffer | string)[], times = 1): Attack =>
  (door) => {
    const { host, port } = "path" in door ? { host: "localhost", port: 0 } : door;
    const socket = new WebSocket(`wss://${host}:${port}/`, { rejectUnauthorized: false, perMessageDeflate: false });
    socket.once("open", () => {
      for (let round = 0; round < times; round += 1) for (const message of messages) socket.send(message());
    });
    return socket;
  };

/** A request that never ends: a byte now and then, as long as the other side listens. */
const dripping: Attack = (door) => {
  const socket = connectTls({ ...door, rejectUnauthorized: false });
  socket.once("secureConnect", () => {
    socket.write("GET / HTTP/1.1\r\nX-Slow: ");
    const drip = setInterval(() => socket.write("y"), 250);
    socket.once("close", () => clearInterval(drip));
  });
  return socket;
};

function pour(socket: Socket, bytes: () => Buffer | string, times: number): void {
  let left = times;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      left -= 1;
      if (!socket.write(bytes())) {
        socket.once("drain", more);
        return;
      }
    }
  };
  more();
}

const join = (rank: unknown): string =>
  JSON.stringify({ t: "join", v: 1, launch: "x", host: "h", rank, proof: "x".repeat(43) });
const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
const event = JSON.stringify({ t: "event", rank: 1, event: { k: "note", level: "info", text: "x".repeat(900_000) } });

const HALF_OPEN: Attack = (door) => connect(door);

const ATTACKS: Readonly<Record<Raid["wire"], readonly Attack[]>> = {
  hub: [
    sending(() => randomBytes(1000)),
    sending(() => "GET / HTTP/1.1\r\n\r\n"),
    overTls(() => randomBytes(1000)),
    overTls(() => `GET / HTTP/1.1\r\nHost: x\r\nX: ${"y".repeat(100_000)}\r\n\r\n`),
    dripping,
    overTls(() => "GET /secrets HTTP/1.1\r\nHost: x\r\n\r\n"),
    overTls(() => `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${1e12}\r\n\r\n`),
    overTls(
      () =>
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: x\r\n\r\n",
    ),
    overWebSocket([() => "not JSON"]),
    overWebSocket([() => randomBytes(1000)]),
    overWebSocket([() => deep]),
    overWebSocket([() => join(1)]),
    overWebSocket([() => join(-1), () => join("x"), () => join(1e9)]),
    overWebSocket([() => join(1), () => event], 20),
    overWebSocket([() => Buffer.alloc(3 * MEGABYTE, 0x20).toString()]),
  ],
  lines: [
    sending(() => randomBytes(1000)),
    sending(() => "not JSON\n"),
    sending(() => "[]\n"),
    sending(() => `${deep}\n`),
    sending(() => '{"t":"hello"}\n'),
    sending(() => '{"t":"hello","v":1,"rank":99999,"size":4,"pid":1,"argv":[],"cwd":"/","env":{}}\n'),
    sending(() => '{"op":"stdio","id":"nobody"}\n'),
    sending(() => '{"op":"fork"}\n'),
    sending(() => '{"op":"fork","id":7,"kind":"worker","env":[],"cwd":7,"params":null}\n'),
    sending(() => '{"op":"stop","grace":1e308}\n'),
    sending(() => '{"op":"no-such-thing"}\n'),
    sending(() => Buffer.alloc(MEGABYTE, 0x20), 8),
    sending(() => "\n", 2000),
  ],
};

let heard = 0;

/** Waits until the other side ends a connection; drops it when patience is lost. */
function ended(one: Socket | WebSocket, patience: number): Promise<"ended" | "held"> {
  return new Promise((resolve) => {
    const late = setTimeout(() => over("held"), patience);
    const over = (how: "ended" | "held"): void => {
      clearTimeout(late);
      if (one instanceof WebSocket) one.terminate();
      else one.destroy();
      resolve(how);
    };
    if (one instanceof WebSocket) one.on("message", (data) => (heard += String(data).length));
    else one.on("data", (chunk) => (heard += chunk.length)).on("end", () => over("ended"));
    one.on("error", () => over("ended")).on("close", () => over("ended"));
  });
}

async function raid({ doors, tries, wire }: Raid): Promise<Spoils> {
  const attacks = ATTACKS[wire];
  const patience = PATIENCE[wire];
  const ends = { ended: 0, held: 0 };
  let next = 0;
  const total = tries * doors.length;
  const worker = async (): Promise<void> => {
    while (next < total) {
      const turn = next;
      next += 1;
      const door = doors[turn % doors.length];
      const attack = attacks[Math.floor(turn / doors.length) % attacks.length];
      if (door !== undefined && attack !== undefined) ends[await ended(attack(door), patience)] += 1;
    }
  };
  const halfOpen = doors.flatMap((door) =>
    Array.from({ length: Math.ceil(tries / 10) }, () => ended(HALF_OPEN(door), patience)),
  );
  const silent =
    wire === "hub"
      ? doors.flatMap((door) =>
          Array.from({ length: Math.ceil(tries / 20) }, () => ended(overTls(undefined)(door), patience)),
        )
      : [];
  await Promise.all(Array.from({ length: ATONCE }, worker));
  for (const how of await Promise.all([...halfOpen, ...silent])) ends[how] += 1;
  return { tries: total + halfOpen.length + silent.length, ...ends, heard };
}

process.stdout.write(JSON.stringify(await raid(JSON.parse(await text(process.stdin)) as Raid)));
