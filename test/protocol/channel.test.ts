import type { Socket } from "node:net";
import { duplexPair } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { channelPair, deferredChannel, inbox, lineChannel, type Channel } from "../../src/protocol/channel.ts";

type Said = { readonly n: number; readonly text?: string };

const accept = (value: unknown): Said | undefined =>
  typeof value === "object" && value !== null && "n" in value ? (value as Said) : undefined;

/** A channel over one end of a stream that stands for a socket, what it has heard, and the other end. */
function line() {
  const [own, peer] = duplexPair();
  const channel: Channel<Said, Said> = lineChannel(own as unknown as Socket, accept);
  const heard: Said[] = [];
  const closed: string[] = [];
  channel.onMessage((message) => heard.push(message));
  channel.onClose((reason) => closed.push(reason));
  return { channel, heard, closed, peer };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Writes bytes in pieces that end at these places. */
async function write(peer: ReturnType<typeof line>["peer"], bytes: Buffer, cuts: readonly number[]): Promise<void> {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].toSorted((a, b) => a - b);
  for (const [index, from] of [0, ...places].entries()) peer.write(bytes.subarray(from, places[index] ?? bytes.length));
  await turn();
  await turn();
}

describe("messages as lines", () => {
  test("arrive as they were sent and in order, wherever the bytes are cut", async () => {
    const messages = fc.array(fc.record({ n: fc.integer(), text: fc.string({ unit: "grapheme" }) }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(messages, fc.array(fc.nat(), { maxLength: 20 }), async (said, cuts) => {
        const { heard, closed, peer } = line();
        await write(peer, Buffer.from(said.map((one) => `${JSON.stringify(one)}\n`).join("")), cuts);
        expect(heard).toEqual(JSON.parse(JSON.stringify(said)));
        expect(closed).toEqual([]);
      }),
      { seed: 7, numRuns: 100 },
    );
  });

  test.each<[string, string, number, string]>([
    ["not JSON", '{"n":1}\n{"n":\n{"n":3}\n', 1, "a line that is not JSON"],
    ["of no known form", '{"n":1}\n{"m":2}\n{"n":3}\n', 1, "a message of no known form"],
    ["longer than any of ours", `{"n":1}\n${"x".repeat(4 * 1024 * 1024 + 1)}`, 1, "a line that is too long"],
  ])("end with one that is %s", async (_, text, before, reason) => {
    const { heard, closed, peer } = line();
    await write(peer, Buffer.from(text), []);
    expect(heard.length).toBe(before);
    expect(closed).toEqual([reason]);
  });

  test("are passed over where they are others', who get them", async () => {
    const [own, peer] = duplexPair();
    const others: string[] = [];
    const heard: Said[] = [];
    lineChannel<Said, Said>(own as unknown as Socket, accept, (text) => others.push(text)).onMessage((message) =>
      heard.push(message),
    );
    await write(peer, Buffer.from('Loading Python\n{"n":1}\n{"m":2}\n3\n{"n":4}\n'), []);
    expect([heard, others]).toEqual([
      [{ n: 1 }, { n: 4 }],
      ["Loading Python", '{"m":2}', "3"],
    ]);
  });

  test("are passed over when they are empty, and no longer sent when the socket is gone", async () => {
    const { channel, heard, closed, peer } = line();
    await write(peer, Buffer.from('\n\n{"n":1}\n\n'), []);
    expect(heard).toEqual([{ n: 1 }]);
    const sent: string[] = [];
    peer.on("data", (bytes: Buffer) => sent.push(bytes.toString()));
    channel.send({ n: 2 });
    channel.close();
    channel.send({ n: 3 });
    peer.end();
    await turn();
    await turn();
    expect([sent.join(""), closed]).toEqual(['{"n":2}\n', ["closed"]]);
  });
});

test("what comes before there is a reader is kept in order, a close too, which is told once", () => {
  const box = inbox<number>();
  const heard: number[] = [];
  const closed: string[] = [];
  box.deliver(1);
  box.deliver(2);
  box.shut("first");
  box.shut("second");
  box.onMessage((n) => heard.push(n));
  box.deliver(3);
  box.onClose((reason) => closed.push(reason));
  expect([heard, closed]).toEqual([[1, 2, 3], ["first"]]);
});

test("two ends in one process hear each other on a later turn, and both hear the close", async () => {
  const [left, right] = channelPair<number, string>();
  const heard: unknown[] = [];
  left.onMessage((text) => heard.push(text));
  right.onMessage((n) => heard.push(n));
  left.onClose(() => heard.push("left"));
  right.onClose(() => heard.push("right"));
  left.send(1);
  right.send("a");
  left.close();
  expect(heard).toEqual([]);
  await turn();
  expect(heard).toEqual([1, "a", "left", "right"]);
});

test("a channel on its way takes what is sent meanwhile, and one that never comes is silent", async () => {
  const [far, near] = channelPair<number, number>();
  const heard: number[] = [];
  far.onMessage((n) => heard.push(n));
  const coming = Promise.withResolvers<Channel<number, number>>();
  const deferred = deferredChannel(coming.promise);
  deferred.send(1);
  deferred.send(2);
  coming.resolve(near);
  await turn();
  deferred.send(3);
  await turn();
  expect(heard).toEqual([1, 2, 3]);

  const never = deferredChannel<number, number>(Promise.reject(new Error("refused")));
  never.send(1);
  never.onClose(() => expect.unreachable());
  never.close();
  await turn();
});
