import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { deadlines } from "../../src/deadlines.ts";
import { addressOfName, orToldToEnd } from "../../src/host/meeting.ts";
import type { InterfaceAddress } from "../../src/net/interfaces.ts";

const known = [
  { name: "lo", address: "127.0.0.1", family: 4, internal: true },
  { name: "ib0", address: "10.0.0.1", family: 4, internal: false },
] as unknown as readonly InterfaceAddress[];
const found =
  (...addresses: readonly string[]) =>
  async (): Promise<readonly { readonly address: string }[]> =>
    addresses.map((address) => ({ address }));
const unknown = (): Promise<never> => Promise.reject(new Error("getaddrinfo ENOTFOUND n1"));

describe("--contact hostname", () => {
  test.each([
    ["the address that others reach", found("127.0.0.1", "10.0.0.1"), true, "10.0.0.1"],
    ["this host's own, where all ranks are on it", found("127.0.0.1"), false, "127.0.0.1"],
  ])("takes %s", async (_, look, multiHost, address) => {
    expect(await addressOfName("n1", multiHost, known, look)).toBe(address);
  });

  test.each([
    ["a name that nobody knows", unknown, "getaddrinfo ENOTFOUND n1"],
    ["a name that leads to this host alone", found("127.0.0.1"), "127.0.0.1"],
    ["a name that leads to another host", found("10.0.0.2"), "10.0.0.2"],
  ])("ends with TSD-064 for %s", async (_, look, problem) => {
    await expect(addressOfName("n1", true, known, look)).rejects.toMatchObject({
      code: "TSD-064",
      exitCode: 64,
      facts: { host: "n1", problem },
    });
  });
});

describe("a host that has not met rank 0", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("and is told to end leaves with the signal's code", async () => {
    const { up, interrupt } = orToldToEnd(new Promise(() => undefined));
    interrupt("SIGTERM");
    vi.advanceTimersByTime(deadlines.toldUnmet);
    await expect(up).rejects.toMatchObject({ exitCode: 143 });
  });

  test("and does so soon after it was told to end passes that on", async () => {
    const { up, interrupt } = orToldToEnd(new Promise((resolve) => setTimeout(resolve, 1000, "rank 0")));
    interrupt("SIGTERM");
    vi.advanceTimersByTime(1000);
    expect(await up).toBe("rank 0");
    vi.advanceTimersByTime(deadlines.toldUnmet);
    expect(await up).toBe("rank 0");
  });
});
