/**
 * A stranger on the network, as a program of its own so that it can stand on any host: reads `{ targets, other }` on
 * stdin, tries every door of every target without the cluster's credentials, and writes what it got, one JSON line per
 * finding (none: it got nothing).
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { text } from "node:stream/consumers";
import { decode, encode } from "@msgpack/msgpack";
import { WebSocket } from "ws";

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface Errand {
  readonly targets: readonly Target[];
  /** How long (ms) an answer is waited for. */
  readonly patience: number;
  /** Credentials of another cluster's. */
  readonly other: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** Something that a stranger got, where nothing should have been. */
export interface Finding extends Target {
  readonly probe: string;
  readonly got: string;
}

const errand = JSON.parse(await text(process.stdin)) as Errand;
const PATHS = [
  "/",
  "/status",
  "/health",
  "/metrics",
  "/sitemap.json",
  "/json/counts.json",
  "/json/identity.json",
  "/json/index.html",
  "/info/main/workers.html",
  "/info/logs.html",
  "/individual-task-stream",
  "/status?token=",
  "/status?token=wrong",
  "/static/js/bokeh.min.js",
  "/statics/css/base.css",
  "/main",
  "/crossfilter",
  "/../status",
  "//status",
  "/%73tatus",
  "/eventstream",
  "/api/v1/get_workers",
  "/lab",
  "/tree",
  "/api/contents",
  "/api/kernels",
  "/api/sessions",
  "/api/terminals",
  "/files/",
  "/lab/api/settings",
] as const;
const SOCKET_PATHS = [
  "/",
  "/eventstream",
  "/status/ws",
  "/individual-task-stream/ws",
  "/api/kernels/x/channels",
  "/terminals/websocket/1",
] as const;

const handshake = frames(encode({ compression: null, python: [3, 11, 0], "pickle-protocol": 5 }));
const identity = frames(encode({ op: "identity", reply: true }));

/** One message of one frame, as Dask frames it; written out here, so that the stranger depends on nothing it tests. */
function frames(frame: Uint8Array): Buffer {
  const header = Buffer.alloc(24);
  header.writeBigUInt64LE(BigInt(16 + frame.byteLength), 0);
  header.writeBigUInt64LE(1n, 8);
  header.writeBigUInt64LE(BigInt(frame.byteLength), 16);
  return Buffer.concat([header, frame]);
}

/** Sends Dask's first words, and waits for what comes back. */
async function talk(socket: Socket, opened: "connect" | "secureConnect"): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve) => {
    let late = setTimeout(resolve, errand.patience);
    const over = (): void => {
      clearTimeout(late);
      resolve();
    };
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      clearTimeout(late);
      late = setTimeout(resolve, 1_000);
    });
    socket.once("error", over).once("close", over);
    socket.once(opened, () => socket.write(Buffer.concat([handshake, identity])));
  });
  socket.destroy();
  return Buffer.concat(chunks);
}

/** What bytes tell a stranger; undefined for nothing: silence, a TLS alert, or an HTTP refusal. */
function told(bytes: Buffer): string | undefined {
  if (bytes.length === 0 || bytes[0] === 0x15) return undefined;
  const start = bytes.subarray(0, 12).toString("latin1");
  if (/^HTTP\/1\.[01] (400|403|404|405|408|426)/.test(start)) return secretIn(bytes.toString("latin1"));
  return `${bytes.length} bytes: ${dask(bytes) ?? JSON.stringify(bytes.subarray(0, 80).toString("latin1"))}`;
}

function dask(bytes: Buffer): string | undefined {
  if (bytes.length < 25 || bytes.readBigUInt64LE(8) !== 1n) return undefined;
  try {
    return `a message of Dask's: ${JSON.stringify(decode(bytes.subarray(24, 24 + Number(bytes.readBigUInt64LE(16))))).slice(0, 200)}`;
  } catch {
    return undefined; // Not msgpack: told as bytes.
  }
}

/** A refusal must not name what it protects. */
function secretIn(body: string): string | undefined {
  return /Scheduler-[0-9a-f]|tls:\/\/|tcp:\/\/|"workers"|nthreads|token=[A-Za-z0-9_-]{20}/.exec(body)?.[0];
}

interface Page {
  readonly status: number;
  readonly body: string;
}

function get(
  secure: boolean,
  { host, port }: Target,
  path: string,
  headers: Record<string, string>,
): Promise<Page | undefined> {
  return new Promise((resolve) => {
    const options = { host, port, path, headers, timeout: errand.patience, agent: false, rejectUnauthorized: false };
    const request = (secure ? httpsRequest : httpRequest)(options, (response: IncomingMessage) => {
      text(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, body }),
        () => resolve(undefined),
      );
    });
    request.once("error", () => resolve(undefined));
    request.once("timeout", () => request.destroy());
    request.end();
  });
}

/** JupyterLab answers these without a token: its log-in page, its version. */
const isPublic = (path: string, body: string): boolean => path === "/login" || /^\{"version": "[\d.]+"\}$/.test(body);

/** What a stranger might make up. */
const MADE_UP: readonly Readonly<Record<string, string>>[] = [
  { Cookie: "tsdask=wrong; tsdask-token=wrong" },
  { Authorization: "Bearer wrong" },
  { Authorization: "token " },
];

async function pages(target: Target): Promise<Finding[]> {
  const tries = [
    ...PATHS.map((path: string) => ({ path, headers: {} })),
    ...MADE_UP.map((headers) => ({ path: "/status", headers })),
  ];
  const found = [false, true].flatMap((secure) =>
    tries.map(async ({ path, headers }) => {
      const page = await get(secure, target, path, headers);
      if (page === undefined) return [];
      const got =
        page.status < 300 && !isPublic(path, page.body)
          ? `status ${page.status}, ${page.body.slice(0, 100)}`
          : secretIn(page.body);
      const probe = `${secure ? "https" : "http"} ${path} ${JSON.stringify(headers)}`;
      return got === undefined ? [] : [{ ...target, probe, got }];
    }),
  );
  return (await Promise.all(found)).flat();
}

function upgrade(secure: boolean, { host, port }: Target, path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = new WebSocket(
      `${secure ? "wss" : "ws"}://${host.includes(":") ? `[${host}]` : host}:${port}${path}`,
      { rejectUnauthorized: false, handshakeTimeout: errand.patience },
    );
    let opened = false;
    const heard: string[] = [];
    const over = (): void => {
      clearTimeout(late);
      socket.terminate();
      resolve(
        opened && !heard.every(isChallenge)
          ? `messages: ${heard.join(" ").slice(0, 200)}`
          : opened && heard.length === 0
            ? "an open WebSocket"
            : undefined,
      );
    };
    const late = setTimeout(over, errand.patience);
    socket.on("open", () => {
      opened = true;
      socket.send(JSON.stringify({ t: "join", v: 1, launch: "x", host: "x", rank: 1, proof: "x" }));
    });
    socket.on("message", (data) => heard.push(String(data)));
    socket.on("error", over).on("close", over);
  });
}

/** The hub asks everyone who they are, with a random number that says nothing, before it says anything else. */
function isChallenge(message: string): boolean {
  return /^\{"t":"challenge","nonce":"[\w-]{43}"\}$/.test(message);
}

async function sockets(target: Target): Promise<Finding[]> {
  const tries = [false, true].flatMap((secure) => SOCKET_PATHS.map((path) => ({ secure, path })));
  const answers = await Promise.all(
    tries.map(async ({ secure, path }) => ({
      probe: `${secure ? "wss" : "ws"} ${path}`,
      got: await upgrade(secure, target, path),
    })),
  );
  return answers.flatMap(({ probe, got }) => (got === undefined ? [] : [{ ...target, probe, got }]));
}

async function wires(target: Target, other: Errand["other"]): Promise<Finding[]> {
  const { host, port } = target;
  const tls = { host, port, rejectUnauthorized: false };
  const tries: readonly (readonly [string, Promise<Buffer>])[] = [
    ["tcp", talk(connect({ host, port }), "connect")],
    ["tls without a certificate", talk(connectTls(tls), "secureConnect")],
    [
      "tls with another cluster's certificate",
      talk(connectTls({ ...tls, cert: other.cert, key: other.key }), "secureConnect"),
    ],
  ];
  const found = tries.map(async ([probe, bytes]) => {
    const got = told(await bytes);
    return got === undefined ? [] : [{ ...target, probe, got }];
  });
  return (await Promise.all(found)).flat();
}

const all = await Promise.all(
  errand.targets.flatMap((target) => [wires(target, errand.other), pages(target), sockets(target)]),
);
for (const finding of all.flat()) process.stdout.write(`${JSON.stringify(finding)}\n`);
process.stdout.write("done\n");
