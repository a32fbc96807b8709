import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { nobodyComes, watchMissingRanks } from "../../src/host/missing-ranks.ts";

describe("the missing ranks of a host", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /**
   * Plays one look a second: which ranks' processes live then (undefined: it cannot be told), and which have met their
   * leader.
   */
  async function play({
    localSize,
    size = localSize,
    allStarted = false,
    looks,
  }: {
    readonly localSize: number;
    readonly size?: number;
    readonly allStarted?: boolean;
    readonly looks: readonly { readonly living: readonly number[] | undefined; readonly met: readonly number[] }[];
  }): Promise<number[]> {
    const dead: number[] = [];
    let now = 0;
    const at = () => looks[Math.min(now, looks.length - 1)] as (typeof looks)[number];
    const missing = watchMissingRanks({
      localSize,
      size,
      met: () => new Set(at().met),
      living: () => Promise.resolve(at().living === undefined ? undefined : new Set(at().living)),
      allStarted: () => allStarted,
      dead: (rank) => dead.push(rank),
    });
    for (now = 0; now < looks.length; now += 1) await vi.advanceTimersByTimeAsync(1_000);
    missing.stop();
    return dead;
  }

  it("never takes a rank for dead that its launcher has not started yet, however long that takes", async () => {
    const looks = Array.from({ length: 60 }, (_, second) => {
      const ranks = Array.from({ length: Math.min(256, 4 * (second + 1)) }, (_, rank) => rank);
      return { living: ranks, met: ranks.slice(0, 2 * second) };
    });
    expect(await play({ localSize: 256, looks })).toEqual([]);
  });

  it("tells once, at the second look that misses it, of a rank that was seen and is gone", async () => {
    const looks = [
      { living: [0, 1, 2, 3], met: [0] },
      { living: [0, 1, 3], met: [0, 1] },
      { living: [0, 1, 3], met: [0, 1] },
      { living: [0, 1, 3], met: [0, 1] },
    ];
    expect(await play({ localSize: 4, looks })).toEqual([2]);
  });

  it("knows of the last rank, which was never seen, where its launcher says that it has started all", async () => {
    const looks = [
      { living: [0, 1], met: [0, 1] },
      { living: [0, 1], met: [0, 1] },
    ];
    expect(await play({ localSize: 3, allStarted: true, looks })).toEqual([2]);
    expect(await play({ localSize: 3, looks })).toEqual([]);
  });

  it("knows of a rank that was never seen that it was started, when a later one was", async () => {
    const looks = [
      { living: [0, 2], met: [0] },
      { living: [0, 2], met: [0, 2] },
    ];
    expect(await play({ localSize: 4, looks })).toEqual([1]);
  });

  it("on one of several hosts, knows only the ranks that it has seen there", async () => {
    const looks = [
      { living: [4, 6], met: [4] },
      { living: [4], met: [4] },
      { living: [4], met: [4] },
    ];
    expect(await play({ localSize: 4, size: 8, looks })).toEqual([6]);
  });

  it("takes nobody for dead while it cannot be told who lives", async () => {
    const looks = [
      { living: [0, 1, 2, 3], met: [0] },
      ...Array.from({ length: 5 }, () => ({ living: undefined, met: [0] })),
    ];
    expect(await play({ localSize: 4, looks })).toEqual([]);
  });

  it("does not take a rank for dead that met its leader and has left since", async () => {
    const looks = [
      { living: [0, 1, 3], met: [0, 1, 2] },
      { living: [0, 1, 3], met: [0, 1, 2] },
      { living: [0, 1, 3], met: [0, 1, 2] },
    ];
    expect(await play({ localSize: 4, looks })).toEqual([]);
  });
});

it.each([
  ["is not awaited: all were started, and those that live have met their agent", true, [0, 1], [0, 1, 3], true],
  ["is awaited while its process lives: it is late", true, [0, 1, 2], [0, 1], false],
  ["is awaited while it may not have been started yet", false, [0, 1], [0, 1], false],
  ["is awaited where nobody can tell who lives", true, undefined, [0, 1], false],
])("at the end a rank that has not come %s", async (_, started, living, met, expected) => {
  const found = living === undefined ? undefined : new Set(living);
  const look = { met: () => new Set(met), living: () => Promise.resolve(found), allStarted: () => started };
  expect(await nobodyComes(look)).toBe(expected);
});
