import type { Channel } from "./channel.ts";

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
