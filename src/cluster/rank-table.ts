import type { CloseReason } from "../protocol/fork-server.ts";

/** What the hub knows of a worker that has registered. */
export interface WorkerFacts {
  readonly rank: number;
  readonly host: string;
  readonly address: string;
  readonly name: string;
  readonly nthreads: number;
  readonly memoryLimit: number;
}

/** A worker that left in order, or one that was lost, and why in words. */
export type Away =
  | { readonly left: CloseReason; readonly lost?: undefined }
  | { readonly left?: undefined; readonly lost: string };

/** What a launch knows of one rank. */
export interface RankState {
  /** The host that it is on, by its number; undefined until the rank was seen. */
  readonly host?: number;
  /** Its process is gone. */
  readonly gone?: true;
  /** Its worker, while that is registered. */
  readonly worker?: WorkerFacts;
  /** Why its worker will not come, or not come back. */
  readonly away?: Away;
}

/**
 * What is known of each rank, as a value that is never changed: a change copies the rank's own block and the list of
 * blocks, which for N ranks is `blockSize + N / blockSize` references.
 */
export interface RankTable {
  readonly blocks: readonly (readonly RankState[])[];
  readonly registered: number;
  readonly away: number;
}

const blockSize = 128;
const unseen: RankState = {};

export const emptyTable: RankTable = { blocks: [], registered: 0, away: 0 };

/** What is known of a rank. */
export function rankOf({ blocks }: RankTable, rank: number): RankState {
  return blocks[Math.floor(rank / blockSize)]?.[rank % blockSize] ?? unseen;
}

/** The table with this state of a rank in place of the one before. */
export function withRank(table: RankTable, rank: number, state: RankState): RankTable {
  const before = rankOf(table, rank);
  const at = Math.floor(rank / blockSize);
  const block = [...(table.blocks[at] ?? Array.from({ length: blockSize }, () => unseen))];
  block[rank % blockSize] = state;
  const blocks = [...table.blocks];
  for (let missing = blocks.length; missing < at; missing += 1) blocks.push([]);
  blocks[at] = block;
  const count = (has: (one: RankState) => boolean): number => Number(has(state)) - Number(has(before));
  return {
    blocks,
    registered: table.registered + count(({ worker }) => worker !== undefined),
    away: table.away + count(({ away }) => away !== undefined),
  };
}

/** All ranks that something is known of, in order. */
export function* knownRanks({ blocks }: RankTable): Generator<readonly [number, RankState]> {
  for (const [at, block] of blocks.entries())
    for (const [index, state] of block.entries()) if (state !== unseen) yield [at * blockSize + index, state];
}
