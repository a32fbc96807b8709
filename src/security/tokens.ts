import {
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
  type KeyObject,
} from "node:crypto";

/** A fresh X25519 key pair; the public half is 32 bytes in base64url, fit for any record a stranger may read. */
export interface AgreementKeys {
  readonly privateKey: KeyObject;
  readonly publicKey: string;
}

const TOKEN_BYTES = 32;
const KEY_BYTES = 32;
const AGREEMENT_CONTEXT = "tsdask-mpi shared key 1";

/** A new random token in base64url: 32 bytes (256 bits) unless told otherwise. */
export function randomToken(bytes: number = TOKEN_BYTES): string {
  return randomBytes(bytes).toString("base64url");
}

/** Whether two tokens are the same, in a time that tells nothing of where they differ, nor of their lengths. */
export function sameToken(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}

/** A new key pair for an X25519 key agreement (RFC 7748). */
export function keyPair(): AgreementKeys {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  return { privateKey, publicKey: rawPublicKey(publicKey) };
}

/**
 * The key that two sides share after each got the other's public key: X25519, then HKDF-SHA-256 over both public keys;
 * 32 bytes. Both sides get the same. Throws a plain Error when `peerPublicKey` is no good X25519 key.
 */
export function sharedKey(privateKey: KeyObject, peerPublicKey: string): Buffer {
  const peer = parsePublicKey(peerPublicKey);
  const secret = diffieHellman({ privateKey, publicKey: peer });
  const own = rawPublicKey(createPublicKey(privateKey));
  const salt = [own, rawPublicKey(peer)].sort().join(".");
  return Buffer.from(hkdfSync("sha256", secret, salt, AGREEMENT_CONTEXT, KEY_BYTES));
}

/**
 * An HMAC-SHA-256 over several parts, in base64url: shows that its maker holds `key`, without showing `key`.
 * Each part goes in with its length, so that no two lists of parts have the same proof.
 */
export function proof(key: string | Uint8Array, parts: readonly (string | Uint8Array)[]): string {
  const mac = createHmac("sha256", key);
  for (const part of parts) {
    const bytes = typeof part === "string" ? Buffer.from(part, "utf8") : part;
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.byteLength));
    mac.update(length).update(bytes);
  }
  return mac.digest("base64url");
}

/**
 * Whether `given` is the proof of `parts` under `key`; compares in constant time and never throws on a malformed one.
 */
export function checkProof(key: string | Uint8Array, parts: readonly (string | Uint8Array)[], given: unknown): boolean {
  return typeof given === "string" && sameToken(proof(key, parts), given);
}

function rawPublicKey(key: KeyObject): string {
  const { x } = key.export({ format: "jwk" });
  if (x === undefined) throw new TypeError("not an X25519 key");
  return x;
}

function parsePublicKey(text: string): KeyObject {
  if (!/^[A-Za-z0-9_-]{43}$/.test(text)) throw new TypeError("not an X25519 public key");
  return createPublicKey({ key: { kty: "OKP", crv: "X25519", x: text }, format: "jwk" });
}

const digest = (text: string): Buffer => createHash("sha256").update(text, "utf8").digest();
