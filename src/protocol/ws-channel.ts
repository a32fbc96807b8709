import type { WebSocket } from "ws";
import { inbox, type Channel } from "./channel.ts";

/** The largest message on a hub connection, in bytes: a launch's are a few kilobytes. */
export const largestMessage = 1024 * 1024;

/**
 * Silence is counted in so many looks, not by the clock: a process that was stopped, as those of a suspended job are,
 * has missed one look when it goes on, and hears the other side before the next.
 */
const looks = 10;

/**
 * JSON messages over a WebSocket, one a frame. A frame that `accept` does not know closes the connection. The other
 * side is taken for lost when nothing, not even a ping or pong, was heard for `silence` ms, or a tenth longer; 0 leaves
 * that to the caller.
 */
export function wsChannel<Out, In>(
  ws: WebSocket,
  accept: (value: unknown) => In | undefined,
  silence: number,
): Channel<Out, In> {
  const box = inbox<In>();
  let timer: NodeJS.Timeout | undefined;
  let unheard = 0;
  const heard = (): void => {
    unheard = 0;
  };
  if (silence > 0) {
    timer = setInterval(() => {
      unheard += 1;
      if (unheard > looks) ws.terminate();
    }, silence / looks);
    timer.unref();
  }
  ws.on("message", (data, binary) => {
    heard();
    let value: unknown;
    try {
      value = binary ? undefined : JSON.parse(String(data));
    } catch {
      value = undefined;
    }
    const message = accept(value);
    if (message === undefined) {
      box.shut("a message of no known form");
      ws.terminate();
    } else box.deliver(message);
  });
  ws.on("ping", heard);
  ws.on("pong", heard);
  ws.on("error", (error) => box.shut(error.message));
  ws.on("close", () => {
    clearInterval(timer);
    box.shut("closed");
  });
  return {
    send: (message) => {
      if (ws.readyState === ws.OPEN) ws.send(JSON.stringify(message));
    },
    onMessage: box.onMessage,
    onClose: box.onClose,
    close: () => ws.close(),
  };
}
