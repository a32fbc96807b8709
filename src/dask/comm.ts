import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { decode, encode } from "@msgpack/msgpack";
import { Failure } from "../errors/failure.ts";
import { parseAddress } from "./address.ts";
import { encodeFrames, frameDecoder } from "./frames.ts";

/**
 * What opens a TLS connection to a Dask process: the cluster's authority, and a certificate with its key (PEM texts).
 */
export interface TlsCredentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** A connection to a Dask process after the handshake; disposing of it closes it. */
export interface Comm extends AsyncDisposable {
  /** Sends one message (a plain value, as msgpack knows it). */
  readonly send: (message: unknown) => void;
  /** The next message, decoded. Throws TSD-075 when the connection ends first, TSD-077 when it is not Dask's wire. */
  readonly receive: () => Promise<unknown>;
}

export interface CommOptions {
  readonly tls?: TlsCredentials | undefined;
  /** Everything on this connection must be done within so many milliseconds. */
  readonly deadline: number;
}

/** How far a connection got; the fact `stage` of TSD-075 tells it. */
export type Stage = "connect" | "tls" | "handshake" | "answer";

/**
 * What went wrong with a connection; the fact `trouble` of TSD-075 tells it. `refused`: its host answers that nothing
 * listens there.
 */
export type LineTrouble = "refused" | "silent" | "closed" | "other";

/** How far a connection that failed got, and what went wrong with it; undefined for any other error. */
export function lineTrouble(error: unknown): { readonly stage: Stage; readonly trouble: LineTrouble } | undefined {
  if (!(error instanceof Failure) || error.code !== "TSD-075") return undefined;
  const { stage, trouble } = error.facts;
  return { stage: stage as Stage, trouble: trouble as LineTrouble };
}

/**
 * What distributed/comm/core.py sends after connecting. The Python version is informative only, and a pickle protocol
 * lower than the peer's makes no difference to us, who send and take plain msgpack.
 */
const HANDSHAKE = { compression: null, python: [3, 11, 0], "pickle-protocol": 5 };

/**
 * Connects to a Dask scheduler or worker over `tcp://` or `tls://` and shakes hands.
 * Throws TSD-075 (no answer, or not in time), TSD-076 (TLS was refused, by them or by us), TSD-077 (not Dask), TSD-086
 * (not an address we can use).
 */
export async function openComm(address: string, { tls, deadline }: CommOptions): Promise<Comm> {
  const line = openLine(dial(address, tls), address);
  const timer = setTimeout(() => line.end(`no answer within ${deadline / 1000} s`, "silent"), deadline);
  const comm: Comm = {
    send: line.send,
    receive: line.receive,
    [Symbol.asyncDispose]: async () => {
      clearTimeout(timer);
      line.close();
    },
  };
  try {
    line.send(HANDSHAKE);
    const theirs = await line.receive();
    if (!isRecord(theirs) || !("pickle-protocol" in theirs)) {
      throw new Failure("TSD-077", { address, problem: "something else than Dask's handshake" });
    }
    return comm;
  } catch (error) {
    await comm[Symbol.asyncDispose]();
    throw error;
  }
}

/** Whether a decoded message is a map. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function dial(address: string, tls: TlsCredentials | undefined): Socket {
  const { protocol, host, port } = parseAddress(address);
  if (protocol === "tcp") return connectTcp({ host, port, noDelay: true });
  if (protocol !== "tls") throw new Failure("TSD-086", { address });
  if (tls === undefined)
    throw new Failure("TSD-076", { address, problem: "no certificate of the cluster's is at hand" });
  return connectTls({
    host,
    port,
    ...tls,
    minVersion: "TLSv1.2",
    // As Dask itself: the authority is the cluster's own and signs for nobody else, and people use addresses more than
    // names.
    checkServerIdentity: () => undefined,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  }).setNoDelay(true);
}

interface Line extends Pick<Comm, "send" | "receive"> {
  /** Gives up, with this problem. */
  readonly end: (problem: string, trouble: LineTrouble) => void;
  readonly close: () => void;
}

/** Messages over a socket that may still be connecting: the first failure is what every later `receive` throws. */
function openLine(socket: Socket, address: string): Line {
  const decoder = frameDecoder({ peer: address });
  const arrived: unknown[] = [];
  let failure: unknown;
  let stage: Stage = "connect";
  let wake: (() => void) | undefined;

  const fail = (reason: unknown): void => {
    failure ??= reason;
    socket.destroy();
    wake?.();
  };
  const end = (problem: string, trouble: LineTrouble): void =>
    fail(new Failure("TSD-075", { address, problem, stage, trouble }));

  socket.once("connect", () => {
    stage = address.startsWith("tls:") ? "tls" : "handshake";
  });
  socket.once("secureConnect", () => {
    stage = "handshake";
  });
  socket.on("data", (chunk: Buffer) => {
    try {
      for (const frames of decoder.push(chunk)) {
        // A message without frames is a sign of life, no more.
        if (frames[0] !== undefined) arrived.push(decode(frames[0], { mapKeyConverter: keyOf }));
      }
      if (arrived.length > 0) stage = "answer";
    } catch (error) {
      fail(
        error instanceof Failure
          ? error
          : new Failure("TSD-077", { address, problem: String(error) }, { cause: error }),
      );
    }
    wake?.();
  });
  socket.once("error", (error) => fail(lineFailure(error, { address, stage })));
  socket.once("close", () => end("the connection was closed", "closed"));

  return {
    send: (message) => {
      socket.write(encodeFrames([encode(message)]));
    },
    receive: async () => {
      while (arrived.length === 0) {
        if (failure !== undefined) throw failure;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return arrived.shift();
    },
    end,
    close: () => {
      failure ??= new Failure("TSD-075", { address, problem: "the connection was closed", stage, trouble: "closed" });
      socket.destroySoon();
    },
  };
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection was reset",
  EHOSTUNREACH: "there is no way to that host from here",
  ENETUNREACH: "there is no way to that network from here",
  ENOTFOUND: "that host name is not known here",
  EAI_AGAIN: "that host name cannot be looked up here",
  ETIMEDOUT: "the connection timed out",
};

function lineFailure(error: Error, { address, stage }: { readonly address: string; readonly stage: Stage }): Failure {
  const code = "code" in error ? String(error.code) : "";
  // What TLS itself says: OpenSSL's own errors and alerts, and Node's words for a certificate that does not verify.
  const refused =
    code.startsWith("ERR_SSL") || code.startsWith("ERR_TLS") || /CERT|SIGNATURE|SELF_SIGNED|UNABLE_TO/.test(code);
  if (refused || (stage === "tls" && code === "ECONNRESET")) {
    return new Failure("TSD-076", { address, problem: tlsProblem(error.message, code) }, { cause: error });
  }
  const trouble: LineTrouble = code === "ECONNREFUSED" ? "refused" : "other";
  return new Failure(
    "TSD-075",
    { address, problem: PROBLEMS[code] ?? error.message, stage, trouble },
    { cause: error },
  );
}

function tlsProblem(message: string, code: string): string {
  if (code === "ECONNRESET") return "the connection was closed while TLS was being set up";
  if (code === "CERT_HAS_EXPIRED") return "its certificate has expired";
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH|UNEXPECTED_MESSAGE/.test(code))
    return "what listens there does not speak TLS";
  if (/ALERT|CERTIFICATE_REQUIRED/.test(code)) return `it refused our certificate (${code.replace(/^ERR_SSL_/, "")})`;
  if (/SELF_SIGNED|UNABLE_TO|SIGNATURE/.test(code)) return "its certificate is not of this cluster";
  return message;
}

/**
 * Python's dictionaries have other keys than strings too: a busy worker's metrics have tuples (`("execute", "inc",
 * "executor", "seconds")`).
 */
function keyOf(key: unknown): string | number {
  return typeof key === "string" || typeof key === "number" ? key : JSON.stringify(key);
}
