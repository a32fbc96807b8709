import { fstatSync } from "node:fs";
import { connect, Socket } from "node:net";

import type { Facts } from "../../errors/failure.ts";
import type { MessageCode } from "../../errors/messages.ts";
import type { PmiEndpoint } from "../world.ts";

/** Finds the first whole message in what has arrived: its text, and how many characters to drop with it. */
export type Framing = (arrived: string) => { readonly text: string; readonly length: number } | "malformed" | undefined;

/** A reply's fields by name, `cmd` among them. */
export type Reply = ReadonlyMap<string, string>;

/** One request and its reply; `cmd` is what the reply must be called, `step` what people read when it does not come. */
export interface Exchange {
  readonly request?: string;
  readonly cmd: string;
  readonly separator: " " | ";";
  readonly framing: Framing;
  readonly step: string;
  /** milliseconds */
  readonly deadline: number;
}

/** A connection to the launcher's PMI server; one exchange at a time. It holds the process up only while it waits. */
export interface Wire {
  readonly exchange: (exchange: Exchange) => Promise<Reply>;
  /** Writes and waits for nothing. */
  readonly tell: (request: string) => void;
  readonly refuse: (code: MessageCode, facts?: Facts) => Promise<never>;
  readonly close: () => void;
}

/** No launcher's reply is near this long: what goes on growing is not PMI. */
const longest = 1 << 20;

/** PMI-1: a message is a line. */
export const lines: Framing = (arrived) => {
  const end = arrived.indexOf("\n");
  return end < 0 ? undefined : { text: arrived.slice(0, end), length: end + 1 };
};

/** PMI-2: a message follows its length, six characters of decimal. */
export const counted: Framing = (arrived) => {
  if (arrived.length < 6) return undefined;
  const head = arrived.slice(0, 6).trim();
  if (!/^\d+$/.test(head)) return "malformed";
  const length = 6 + Number(head);
  return arrived.length < length ? undefined : { text: arrived.slice(6, length), length };
};

/**
 * Opens the way to the PMI server: the inherited descriptor, or the address of `-pmi-port`.
 * Its exchanges reject with a Failure: TSD-030 cannot be opened, TSD-031 no reply in time, TSD-032 the launcher closed
 * it, TSD-033 an unexpected reply.
 */
export async function openWire(endpoint: PmiEndpoint, where: Facts): Promise<Wire> {
  const refuse = async (code: MessageCode, facts: Facts = {}): Promise<never> => {
    const { Failure } = await import("../../errors/failure.ts");
    throw new Failure(code, { ...where, ...facts });
  };
  let socket: Socket;
  try {
    socket = openSocket(endpoint);
  } catch (error) {
    return refuse("TSD-030", { problem: (error as Error).message });
  }

  let arrived = "";
  let lost: string | undefined;
  let wake = (): void => undefined;
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    arrived += text;
    if (arrived.length > longest) lost ??= "it sent far more than a reply";
    wake();
  });
  socket.on("error", (error) => {
    lost ??= error.message;
    wake();
  });
  socket.on("close", () => {
    lost ??= "it closed the connection";
    wake();
  });
  socket.unref();

  const arrival = async ({ framing, step, deadline }: Exchange): Promise<string> => {
    socket.ref();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      wake();
    }, deadline);
    try {
      for (;;) {
        const found = framing(arrived);
        if (found === "malformed") return await refuse("TSD-033", { step, reply: arrived.slice(0, 80) });
        if (found !== undefined) {
          arrived = arrived.slice(found.length);
          return found.text;
        }
        if (lost !== undefined) return await refuse("TSD-032", { step, problem: lost });
        if (late) return await refuse("TSD-031", { step, seconds: deadline / 1000 });
        await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      clearTimeout(timer);
      socket.unref();
    }
  };

  return {
    refuse,
    tell: (request) => void socket.write(request, "latin1"),
    close: () => socket.destroy(),
    exchange: async (exchange) => {
      if (exchange.request !== undefined) socket.write(exchange.request, "latin1");
      const text = await arrival(exchange);
      const reply = parse(text, exchange.separator);
      if (reply.get("cmd") === exchange.cmd) return reply;
      return refuse("TSD-033", { step: exchange.step, reply: text.slice(0, 80) });
    },
  };
}

function openSocket({ fd, port }: PmiEndpoint): Socket {
  if (port !== undefined) return connect({ host: port.host, port: port.port });
  if (fd === undefined) throw new Error("neither PMI_FD nor PMI_PORT is set");
  // a wrapper that closed the launcher's descriptor leaves its number to whatever this process opened next
  if (!fstatSync(fd).isSocket()) throw new Error(`descriptor ${fd} is not the launcher's socket`);
  return new Socket({ fd, readable: true, writable: true });
}

function parse(text: string, separator: " " | ";"): Reply {
  const fields = new Map<string, string>();
  for (const field of text.split(separator)) {
    const equals = field.indexOf("=");
    if (equals > 0) fields.set(field.slice(0, equals), field.slice(equals + 1));
  }
  return fields;
}
