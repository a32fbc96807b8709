import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { hostPort, parseAddress } from "../../src/dask/address.ts";
import { encodeFrames, frameDecoder } from "../../src/dask/frames.ts";
import { identity } from "../../src/dask/rpc.ts";

const peer = "tcp://peer:1";
const u64 = (...numbers: bigint[]): Buffer => {
  const bytes = Buffer.alloc(numbers.length * 8);
  for (const [index, number] of numbers.entries()) bytes.writeBigUInt64LE(number, index * 8);
  return bytes;
};

describe("Dask's frames", () => {
  test("have the bytes that Dask writes", () => {
    const encoded = encodeFrames([Buffer.from("abc"), Buffer.from("de")]);
    expect(encoded).toEqual(Buffer.concat([u64(29n, 2n, 3n, 2n), Buffer.from("abcde")]));
  });

  test("come out as they went in, however the stream is cut", () => {
    const messages = [[Buffer.from("abc"), Buffer.alloc(0)], [], [Buffer.alloc(5000, 7)]];
    const stream = Buffer.concat(messages.map((frames) => encodeFrames(frames)));
    for (const step of [1, 3, 8, 17, 100, stream.length]) {
      const decoder = frameDecoder({ peer });
      const seen: Buffer[][] = [];
      for (let at = 0; at < stream.length; at += step) seen.push(...decoder.push(stream.subarray(at, at + step)));
      expect(seen).toEqual(messages);
    }
  });

  test("may lie outside the first length, as newer Dask sends large buffers", () => {
    const bytes = Buffer.concat([u64(27n, 2n, 3n, 2n), Buffer.from("abcde")]);
    expect(frameDecoder({ peer }).push(bytes)).toEqual([[Buffer.from("abc"), Buffer.from("de")]]);
  });

  test.each([
    ["too many frames", u64(100n, 1n << 40n)],
    ["too many bytes", u64(1n << 62n, 1n)],
    ["one frame too large", u64(100n, 1n, 1n << 62n)],
    ["a length shorter than the header", u64(4n, 1n)],
    ["an answer of HTTP", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")],
  ])("are refused with %s, before anything is held for them", (_, bytes) => {
    expect(() => frameDecoder({ peer }).push(bytes)).toThrow(/TSD-077/);
  });
});

describe("what is no Dask scheduler", () => {
  let server: Server | undefined;
  const sockets = new Set<Socket>();
  const serve = async (onConnection: (socket: Socket) => void): Promise<string> => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      onConnection(socket);
    });
    await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
    return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    server?.close();
  });

  test("is told apart when it is silent, closes, or talks something else", async () => {
    await expect(identity({ address: await serve(() => undefined) }, { deadline: 200 })).rejects.toThrow(
      /TSD-075.*no answer/,
    );
    await expect(identity({ address: await serve((socket) => socket.end()) })).rejects.toThrow(/TSD-075.*closed/);
    await expect(identity({ address: await serve((socket) => socket.write(Buffer.alloc(64, 0xc1))) })).rejects.toThrow(
      /TSD-077/,
    );
    await expect(
      identity({ address: await serve((socket) => socket.write(encodeFrames([Buffer.from([0xc1])]))) }),
    ).rejects.toThrow(/TSD-077/);
    await expect(
      identity({ address: await serve((socket) => socket.write(encodeFrames([Buffer.from([0x07])]))) }),
    ).rejects.toThrow(/TSD-077.*handshake/);
  });
});

describe("an address of Dask's", () => {
  test.each([
    ["tls://10.0.0.1:8786", { protocol: "tls", host: "10.0.0.1", port: 8786 }],
    ["tcp://[fe80::1%eth0]:1", { protocol: "tcp", host: "fe80::1%eth0", port: 1 }],
    ["node-1.example.org:8786", { protocol: "tcp", host: "node-1.example.org", port: 8786 }],
  ])("%s is taken apart", (address, parts) => {
    expect(parseAddress(address)).toEqual(parts);
  });

  test.each(["", "tls://", "tcp://host", "tcp://host:0", "tcp://host:70000", "tcp://a b:1", "::1:80"])(
    "%o is refused",
    (address) => {
      expect(() => parseAddress(address)).toThrow(/TSD-086/);
    },
  );

  test("gets brackets around IPv6", () => {
    expect(hostPort("::1", 80)).toBe("[::1]:80");
    expect(hostPort("h1", 80)).toBe("h1:80");
  });
});
