import { Failure } from "../errors/failure.ts";

/**
 * Dask's framing over TCP and TLS (distributed/comm/tcp.py and distributed/protocol/utils.py, 2022.12 to 2026.8), all
 * numbers u64 little-endian: length of what follows (later large frames may lie outside it), number of frames, one
 * length per frame, the frames.
 */
const U64 = 8;
const PRELUDE = 2 * U64;
/** A message of Dask's control operations has one frame, or a few more when a pickled exception is in it. */
const MOST_FRAMES = 4096;
/** The largest message we take: an identity of 10,000 workers has about 10 MB. */
const LARGEST_MESSAGE = 128 * 1024 * 1024;

export interface Decoder {
  /**
   * Takes bytes as they come and returns the messages that are complete, each as its frames. Throws TSD-077 when it is
   * not Dask's wire.
   */
  readonly push: (chunk: Buffer) => Buffer[][];
}

/** The bytes of one message: its header and its frames. */
export function encodeFrames(frames: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(PRELUDE + frames.length * U64);
  const size = frames.reduce((sum, frame) => sum + frame.byteLength, 0);
  header.writeBigUInt64LE(BigInt(header.length - U64 + size), 0);
  header.writeBigUInt64LE(BigInt(frames.length), U64);
  for (const [index, frame] of frames.entries()) {
    header.writeBigUInt64LE(BigInt(frame.byteLength), PRELUDE + index * U64);
  }
  return Buffer.concat([header, ...frames]);
}

/** Splits a stream into messages; no more than one message (of at most `largest` bytes) is ever held. */
export function frameDecoder({
  peer,
  largest = LARGEST_MESSAGE,
}: {
  readonly peer: string;
  readonly largest?: number;
}): Decoder {
  let chunks: Buffer[] = [];
  let held = 0;
  let wanted = PRELUDE;
  return {
    push: (chunk) => {
      chunks.push(chunk);
      held += chunk.length;
      const messages: Buffer[][] = [];
      while (held >= wanted) {
        const bytes = Buffer.concat(chunks);
        wanted = neededBytes(bytes, { peer, largest });
        if (bytes.length < wanted) {
          chunks = [bytes];
          break;
        }
        messages.push(splitFrames(bytes));
        chunks = [bytes.subarray(wanted)];
        held -= wanted;
        wanted = PRELUDE;
      }
      return messages;
    },
  };
}

/**
 * How many bytes the message at the start of `bytes` has, or, while its lengths are not all there, how many are needed
 * to tell.
 */
function neededBytes(bytes: Buffer, { peer, largest }: { readonly peer: string; readonly largest: number }): number {
  const announced = bytes.readBigUInt64LE(0);
  const count = bytes.readBigUInt64LE(U64);
  if (count > BigInt(MOST_FRAMES)) throw notDask(peer, `a message of ${count} frames`);
  if (announced > BigInt(largest)) throw notDask(peer, `a message of ${announced} bytes`);
  const header = PRELUDE + Number(count) * U64;
  if (announced < BigInt(header - U64)) throw notDask(peer, "a message shorter than its own header");
  if (bytes.length < header) return header;
  const size = frameLengths(bytes).reduce((sum, length) => sum + length, 0n);
  if (size > BigInt(largest)) throw notDask(peer, `a message of ${size} bytes`);
  return header + Number(size);
}

function frameLengths(bytes: Buffer): bigint[] {
  const count = Number(bytes.readBigUInt64LE(U64));
  return Array.from({ length: count }, (_, index) => bytes.readBigUInt64LE(PRELUDE + index * U64));
}

function splitFrames(bytes: Buffer): Buffer[] {
  const lengths = frameLengths(bytes).map(Number);
  let at = PRELUDE + lengths.length * U64;
  return lengths.map((length) => {
    const frame = bytes.subarray(at, at + length);
    at += length;
    return frame;
  });
}

function notDask(address: string, problem: string): Failure {
  return new Failure("TSD-077", { address, problem });
}
