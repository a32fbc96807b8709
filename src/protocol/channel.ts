import type { Socket } from "node:net";

/** A two-way, ordered stream of messages: over a socket as JSON lines, over a WebSocket, or inside one process. */
export interface Channel<Out, In> {
  readonly send: (message: Out) => void;
  /** Sets the one reader; messages that came before it are delivered first. */
  readonly onMessage: (reader: (message: In) => void) => void;
  /** Called once, when the other side is gone for whatever reason. */
  readonly onClose: (reader: (reason: string) => void) => void;
  readonly close: () => void;
}

/** The longest line a peer may send, in bytes; more is an attack or a defect and closes the connection. */
const longestLine = 4 * 1024 * 1024;

interface Inbox<In> {
  readonly deliver: (message: In) => void;
  readonly shut: (reason: string) => void;
  readonly onMessage: (reader: (message: In) => void) => void;
  readonly onClose: (reader: (reason: string) => void) => void;
}

/** Keeps what arrives before a reader is set, so that no message and no close is lost. */
export function inbox<In>(): Inbox<In> {
  let reader: ((message: In) => void) | undefined;
  let closer: ((reason: string) => void) | undefined;
  let closed: string | undefined;
  const early: In[] = [];
  return {
    deliver: (message) => {
      if (reader) reader(message);
      else early.push(message);
    },
    shut: (reason) => {
      if (closed !== undefined) return;
      closed = reason;
      closer?.(reason);
    },
    onMessage: (next) => {
      reader = next;
      for (const message of early.splice(0)) next(message);
    },
    onClose: (next) => {
      closer = next;
      if (closed !== undefined) next(closed);
    },
  };
}

/** Two channels joined inside one process: what one sends the other reads, in order, on a later turn of the loop. */
export function channelPair<A, B>(): readonly [Channel<A, B>, Channel<B, A>] {
  const left = inbox<B>();
  const right = inbox<A>();
  const shut = (): void => {
    queueMicrotask(() => {
      left.shut("closed");
      right.shut("closed");
    });
  };
  return [
    {
      send: (m) => queueMicrotask(() => right.deliver(m)),
      onMessage: left.onMessage,
      onClose: left.onClose,
      close: shut,
    },
    {
      send: (m) => queueMicrotask(() => left.deliver(m)),
      onMessage: right.onMessage,
      onClose: right.onClose,
      close: shut,
    },
  ];
}

/**
 * Messages as JSON lines (UTF-8, one object a line) over a stream socket. `accept` turns a parsed value into a message
 * or `undefined` when it is not one: such a peer, and one whose line passes `longestLine` bytes, is disconnected. Where
 * other programs may write into the stream, too, a line that is no message is given to `others` instead.
 */
export function lineChannel<Out, In>(
  socket: Socket,
  accept: (value: unknown) => In | undefined,
  others?: (text: string) => void,
): Channel<Out, In> {
  const box = inbox<In>();
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  const refuse = (why: string): void => {
    box.shut(why);
    socket.destroy();
  };
  const line = (text: string): void => {
    const noMessage = (why: string): void => {
      if (others) others(text);
      else refuse(why);
    };
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      noMessage("a line that is not JSON");
      return;
    }
    const message = accept(value);
    if (message === undefined) noMessage("a message of no known form");
    else box.deliver(message);
  };
  socket.on("data", (chunk: Buffer) => {
    let from = 0;
    for (let end = chunk.indexOf(10, from); end !== -1 && !socket.destroyed; end = chunk.indexOf(10, from)) {
      pending.push(chunk.subarray(from, end));
      const text = Buffer.concat(pending).toString("utf8");
      pending = [];
      pendingBytes = 0;
      from = end + 1;
      if (text !== "") line(text);
    }
    if (from < chunk.length) {
      pending.push(chunk.subarray(from));
      pendingBytes += chunk.length - from;
      if (pendingBytes > longestLine) refuse("a line that is too long");
    }
  });
  socket.on("error", (error) => box.shut(error.message));
  socket.on("close", () => box.shut("closed"));
  socket.on("end", () => socket.end());
  return {
    send: (message) => {
      if (!socket.destroyed && !socket.writableEnded) socket.write(`${JSON.stringify(message)}\n`);
    },
    onMessage: box.onMessage,
    onClose: box.onClose,
    close: () => {
      socket.end();
    },
  };
}

/** A channel that may still be on its way: what is sent before it is there waits for it. */
export function deferredChannel<Out, In>(coming: Promise<Channel<Out, In>>): Channel<Out, In> {
  let channel: Channel<Out, In> | undefined;
  const early: Out[] = [];
  const then = (use: (channel: Channel<Out, In>) => void): void => {
    coming.then(use, () => undefined);
  };
  then((found) => {
    channel = found;
    for (const message of early.splice(0)) found.send(message);
  });
  return {
    send: (message) => {
      if (channel) channel.send(message);
      else early.push(message);
    },
    onMessage: (reader) => then((found) => found.onMessage(reader)),
    onClose: (reader) => then((found) => found.onClose(reader)),
    close: () => then((found) => found.close()),
  };
}
