import { describe, expect, test } from "vitest";
import { checkProof, keyPair, proof, randomToken, sameToken, sharedKey } from "../../src/security/tokens.ts";

describe("tokens", () => {
  test("are 256 random bits that need no quoting in a link or a shell", () => {
    const tokens = new Set(Array.from({ length: 100 }, () => randomToken()));
    expect(tokens.size).toBe(100);
    for (const token of tokens) expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
  });

  test("are the same or not, whatever their lengths", () => {
    expect(sameToken("abc", "abc")).toBe(true);
    expect(sameToken("abc", "abd")).toBe(false);
    expect(sameToken("abc", "ab")).toBe(false);
    expect(sameToken("", "")).toBe(true);
  });
});

describe("a key agreement", () => {
  test("gives both sides one key, and a third another", () => {
    const [a, b, c] = [keyPair(), keyPair(), keyPair()];
    const key = sharedKey(a.privateKey, b.publicKey);
    expect(key).toHaveLength(32);
    expect(sharedKey(b.privateKey, a.publicKey)).toEqual(key);
    expect(sharedKey(c.privateKey, a.publicKey)).not.toEqual(key);
  });

  test.each([
    ["nothing", ""],
    ["too short a key", "AAAA"],
    ["other letters", "!".repeat(43)],
    ["a point of low order", "A".repeat(43)],
  ])("refuses %s", (_, key) => {
    expect(() => sharedKey(keyPair().privateKey, key)).toThrow();
  });
});

describe("a proof", () => {
  const key = keyPair();
  const secret = sharedKey(key.privateKey, keyPair().publicKey);

  test("holds for its own key and parts only", () => {
    const made = proof(secret, ["hub", "10.0.0.1:3456"]);
    expect(checkProof(secret, ["hub", "10.0.0.1:3456"], made)).toBe(true);
    expect(checkProof(secret, ["hub", "10.0.0.1:3457"], made)).toBe(false);
    expect(checkProof("other", ["hub", "10.0.0.1:3456"], made)).toBe(false);
  });

  test("tells parts apart that would read the same when joined", () => {
    expect(proof(secret, ["ab", "c"])).not.toBe(proof(secret, ["a", "bc"]));
    expect(proof(secret, ["abc"])).not.toBe(proof(secret, ["abc", ""]));
  });

  test.each([undefined, null, 7, {}, "", "x"])("is refused when malformed: %o", (given) => {
    expect(checkProof(secret, ["a"], given)).toBe(false);
  });
});
