import type { MemoryLimit } from "../config/options.ts";
import type { Share } from "../dask/requests.ts";
import type { Grant } from "./grant.ts";

/** A worker with less memory (bytes) than this does little but pause. */
const littleMemory = 128 * 2 ** 20;

/** How many of these limits (bytes; 0: none) are too small to do much in, and the least; undefined: none of them is. */
export function littleMemoryOf(
  limits: readonly number[],
): { readonly few: number; readonly least: number } | undefined {
  const little = limits.filter((limit) => limit > 0 && limit < littleMemory);
  return little.length === 0 ? undefined : { few: little.length, least: Math.min(...little) };
}

/** One role of a rank of this host; a rank that holds two (`--inclusive-workers`) stands here twice. */
export interface Sharer {
  readonly rank: number;
  readonly role: "scheduler" | "client" | "worker";
  /** The rank's own CPU affinity; the leader's when it is not known. */
  readonly cpuList?: readonly number[];
}

/** What the user wants a worker to have. */
export interface RequestedShare {
  readonly nthreads?: number | undefined;
  readonly memoryLimit: MemoryLimit;
}

/** What a scheduler's or a client's process is left with: a tenth of the host's memory each, and no more than this. */
const reserve = { part: 0.1, most: 4 * 1024 ** 3 };

/**
 * Divides what a host grants among its worker ranks; pure. Ranks that the launcher bound to cores of their own keep
 * these; ranks with cores in common divide them. Everybody has at least one thread. Schedulers and clients get no
 * cores, because they mostly wait, but memory is set aside for them: what a script gathers, a scheduler's tables. The
 * rest is divided in proportion to the threads. `requestedOf` tells the user's threads and memory of a worker, which
 * the others have less: a fraction is one of all that the host grants, as in Dask, and no limit is more than that.
 */
export function fairShares(
  grant: Grant,
  ranks: readonly Sharer[],
  requestedOf: (rank: number) => RequestedShare,
): Map<number, Share> {
  const workers = ranks.filter(({ role }) => role === "worker");
  const requested = workers.map(({ rank }) => requestedOf(rank));
  const cpusOf = ({ cpuList = grant.cpuList }: Sharer): readonly number[] => cpuList;
  const bound = divideCores(workers, cpusOf, requested);
  const limited = evenly(grant.limit ?? Number.MAX_SAFE_INTEGER, requested);
  const threads = workers.map((_, index) => Math.max(1, Math.min(bound[index] ?? 1, limited[index] ?? 1)));

  const others = ranks.length - workers.length;
  const left = grant.memory - others * Math.min(grant.memory * reserve.part, reserve.most);
  const taken = requested.reduce((sum, { memoryLimit }) => sum + memoryOf(memoryLimit, grant.memory, 0), 0);
  const free = Math.max(Math.max(left, grant.memory / 2) - taken, grant.memory / 10);
  const all = threads.reduce((sum, more, index) => sum + (requested[index]?.memoryLimit.kind === "auto" ? more : 0), 0);
  return new Map(
    workers.map((worker, index) => {
      const own = threads[index] ?? 1;
      const { nthreads = own, memoryLimit } = requested[index] as RequestedShare;
      const share: Share = {
        nthreads,
        memoryLimit: memoryOf(memoryLimit, grant.memory, Math.floor((free * own) / Math.max(1, all))),
        cpus: Math.max(1, Math.min(cpusOf(worker).length, grant.limit ?? Infinity)),
      };
      return [worker.rank, share];
    }),
  );
}

/**
 * How many cores each of these ranks has for itself: those of its group (ranks linked by common cores), divided in the
 * group.
 */
function divideCores(
  workers: readonly Sharer[],
  cpusOf: (worker: Sharer) => readonly number[],
  requested: readonly RequestedShare[],
): number[] {
  const groupOf = new Map<number, number[]>(); // core → indices of the workers of its group
  for (const [index, worker] of workers.entries()) {
    const cpus = cpusOf(worker);
    const linked = new Set(cpus.flatMap((cpu) => groupOf.get(cpu) ?? []));
    const group = [...linked, index];
    const cores = new Set([...group.flatMap((member) => cpusOf(workers[member] ?? worker))]);
    for (const cpu of cores) groupOf.set(cpu, group);
  }
  const shares = workers.map(() => 1);
  for (const group of new Set(groupOf.values())) {
    const cores = new Set(group.flatMap((index) => cpusOf(workers[index] as Sharer)));
    const inOrder = [...group].sort((a, b) => a - b);
    const parts = evenly(
      cores.size,
      inOrder.map((index) => requested[index] as RequestedShare),
    );
    for (const [place, index] of inOrder.entries()) {
      shares[index] = Math.min(parts[place] ?? 1, cpusOf(workers[index] as Sharer).length);
    }
  }
  return shares;
}

/**
 * 8 among 3 → 3, 3, 2. Who wants a number of his own has that, where others want none: 8 among 3 of which the first
 * wants 2 → 2, 3, 3.
 */
function evenly(total: number, requested: readonly RequestedShare[]): number[] {
  const open = requested.filter(({ nthreads }) => nthreads === undefined).length;
  const parts = open === 0 ? requested.length : open;
  const left = open === 0 ? total : Math.max(0, total - requested.reduce((sum, { nthreads = 0 }) => sum + nthreads, 0));
  let place = 0;
  return requested.map(({ nthreads }) => {
    if (open > 0 && nthreads !== undefined) return nthreads;
    place += 1;
    return Math.floor(left / parts) + (place <= left % parts ? 1 : 0);
  });
}

function memoryOf(requested: MemoryLimit, granted: number, share: number): number {
  switch (requested.kind) {
    case "none":
      return 0;
    case "auto":
      return share;
    case "fraction":
      return Math.floor(requested.fraction * granted);
    case "bytes":
      return granted > 0 ? Math.min(requested.bytes, granted) : requested.bytes;
  }
}
