import { expect, it } from "vitest";

import type { MemoryLimit } from "../../src/config/options.ts";
import type { Grant } from "../../src/host/grant.ts";
import type { Share } from "../../src/dask/requests.ts";
import { fairShares as sharesBy, type Sharer, type RequestedShare } from "../../src/host/shares.ts";

const gigabyte = 1024 ** 3;
const auto: MemoryLimit = { kind: "auto" };
const cores = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

function host(cpus: number, memory = 32 * gigabyte, limit?: number): Grant {
  const list = cores(0, cpus - 1);
  return {
    cpus: Math.min(cpus, limit ?? cpus),
    cpuList: list,
    ...(limit === undefined ? {} : { limit }),
    memory,
    why: { cpus: "", memory: "" },
  };
}
/** Rank 0 the scheduler, rank 1 the client, `count` workers. */
function usual(count: number, cpuList?: (rank: number) => number[]): Sharer[] {
  return Array.from({ length: count + 2 }, (_, rank) => ({
    rank,
    role: (["scheduler", "client"] as const)[rank] ?? "worker",
    ...(cpuList === undefined ? {} : { cpuList: cpuList(rank) }),
  }));
}
const fairShares = (grant: Grant, ranks: readonly Sharer[], requested: RequestedShare): Map<number, Share> =>
  sharesBy(grant, ranks, () => requested);
const threads = (shares: Map<number, Share>): number[] => [...shares.values()].map(({ nthreads }) => nthreads);
const memory = (shares: Map<number, Share>): number[] => [...shares.values()].map(({ memoryLimit }) => memoryLimit);

it("divides a host's cores among its workers, all of them used", () => {
  expect(threads(fairShares(host(8), usual(3), { memoryLimit: auto }))).toEqual([3, 3, 2]);
  expect([...fairShares(host(8), usual(3), { memoryLimit: auto }).keys()]).toEqual([2, 3, 4]);
});

it("gives every worker a thread, however many there are", () => {
  const shares = fairShares(host(2), usual(15), { memoryLimit: auto });
  expect(threads(shares)).toEqual(Array(15).fill(1));
  expect(memory(shares).reduce((a, b) => a + b)).toBeLessThanOrEqual(32 * gigabyte);
});

it("lets ranks keep the cores that their launcher bound them to", () => {
  const bound = fairShares(
    host(8),
    usual(2, (rank) => cores(rank * 2, rank * 2 + 1)),
    { memoryLimit: auto },
  );
  expect(threads(bound)).toEqual([2, 2]);
  const uneven = fairShares(
    host(8),
    [
      { rank: 0, role: "worker", cpuList: cores(0, 5) },
      { rank: 1, role: "worker", cpuList: cores(6, 7) },
    ],
    { memoryLimit: auto },
  );
  expect(threads(uneven)).toEqual([6, 2]);
  expect(memory(uneven)).toEqual([24 * gigabyte, 8 * gigabyte]);
  expect([...uneven.values()].map(({ cpus }) => cpus)).toEqual([6, 2]);
});

it("divides a socket among the ranks that are bound to it", () => {
  const socket = (rank: number): number[] => (rank % 2 === 0 ? cores(0, 3) : cores(4, 7));
  expect(threads(fairShares(host(8), usual(4, socket), { memoryLimit: auto }))).toEqual([2, 2, 2, 2]);
});

it("links ranks whose cores overlap only by way of a third", () => {
  const chain = [cores(0, 3), cores(6, 9), cores(3, 6)].map(
    (cpuList, rank) => ({ rank, role: "worker", cpuList }) as const,
  );
  expect(threads(fairShares(host(10), chain, { memoryLimit: auto }))).toEqual([4, 3, 3]);
});

it("never hands out more cores than a cgroup or the batch system grants together", () => {
  expect(threads(fairShares(host(64, 32 * gigabyte, 6), usual(4), { memoryLimit: auto }))).toEqual([2, 2, 1, 1]);
  const boundAnyway = usual(4, (rank) => cores(rank * 8, rank * 8 + 7));
  expect(threads(fairShares(host(64, 32 * gigabyte, 8), boundAnyway, { memoryLimit: auto }))).toEqual([2, 2, 2, 2]);
});

it("sets memory aside for the scheduler and the client, but not too much of it", () => {
  expect(memory(fairShares(host(4, 10 * gigabyte), usual(2), { memoryLimit: auto }))).toEqual([
    4 * gigabyte,
    4 * gigabyte,
  ]);
  expect(memory(fairShares(host(4, 128 * gigabyte), usual(2), { memoryLimit: auto }))).toEqual([
    60 * gigabyte,
    60 * gigabyte,
  ]);
  const alone = fairShares(host(4, 128 * gigabyte), [{ rank: 7, role: "worker" }], { memoryLimit: auto });
  expect(memory(alone)).toEqual([128 * gigabyte]);
});

it("gives one rank both roles with --inclusive-workers", () => {
  const both: Sharer[] = [
    { rank: 0, role: "scheduler" },
    { rank: 0, role: "worker" },
    { rank: 1, role: "worker" },
  ];
  const shares = fairShares(host(4, 10 * gigabyte), both, { memoryLimit: auto });
  expect([...shares.keys()]).toEqual([0, 1]);
  expect(memory(shares)).toEqual([4.5 * gigabyte, 4.5 * gigabyte]);
});

it.each<[MemoryLimit, number]>([
  [{ kind: "none" }, 0],
  [{ kind: "bytes", bytes: 3 * gigabyte }, 3 * gigabyte],
  [{ kind: "bytes", bytes: 999 * gigabyte }, 32 * gigabyte],
  [{ kind: "fraction", fraction: 0.25 }, 8 * gigabyte],
])("takes the user's memory limit %j", (memoryLimit, expected) => {
  expect(memory(fairShares(host(4), usual(2), { memoryLimit }))).toEqual([expected, expected]);
});

it("takes the user's threads, and divides the memory as before", () => {
  const shares = fairShares(host(4, 10 * gigabyte), usual(2), { nthreads: 1, memoryLimit: auto });
  expect(threads(shares)).toEqual([1, 1]);
  expect(memory(shares)).toEqual([4 * gigabyte, 4 * gigabyte]);
});

it("has nothing to divide where no worker is", () => {
  expect(fairShares(host(4), [{ rank: 0, role: "scheduler" }], { memoryLimit: auto }).size).toBe(0);
});

it("leaves to the others what a group of workers does not want", () => {
  const requested = (own: Partial<RequestedShare>, of: readonly number[]) => (rank: number) =>
    of.includes(rank) ? { memoryLimit: auto, ...own } : { memoryLimit: auto };
  const few = sharesBy(host(16), usual(4), requested({ nthreads: 1 }, [2, 3]));
  expect(threads(few)).toEqual([1, 1, 7, 7]);
  const greedy = sharesBy(host(4), usual(3), requested({ nthreads: 8 }, [2]));
  expect(threads(greedy)).toEqual([8, 1, 1]);
  const big = sharesBy(
    host(4, 100 * gigabyte),
    usual(3),
    requested({ memoryLimit: { kind: "bytes", bytes: 50 * gigabyte } }, [4]),
  );
  expect(memory(big).map((bytes) => Math.round(bytes / gigabyte))).toEqual([28, 14, 50]);
  const all = sharesBy(
    host(4, 10 * gigabyte),
    usual(2),
    requested({ memoryLimit: { kind: "bytes", bytes: 10 * gigabyte } }, [2]),
  );
  expect(memory(all)).toEqual([10 * gigabyte, gigabyte]);
});
