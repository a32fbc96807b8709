import { said } from "./banner.ts";
import { durationText } from "./format.ts";
import { hostList, numberRanges } from "./ranges.ts";

/** How far a launch is that has no scheduler yet. */
export interface WaitingFacts {
  readonly seconds: number;
  readonly size: number;
  /** Ranks that have not met the others. */
  readonly missing: readonly number[];
  /** Hosts whose Python is not ready. */
  readonly importing: readonly string[];
  /** Whether this launch joins a cluster that somebody else started. */
  readonly joining: boolean;
}

/** A line for those who wait: who or what is missing until there is a scheduler. */
export function waitingText({ seconds, size, missing, importing, joining }: WaitingFacts): string {
  return said(`${whatFor(size, missing, importing, joining)} after ${durationText(seconds)}`);
}

function whatFor(size: number, missing: readonly number[], importing: readonly string[], joining: boolean): string {
  if (missing.length > 0) {
    return `${size - missing.length} of ${size} ranks have met; missing: ${missing.length === 1 ? "rank" : "ranks"} ${numberRanges(missing)};`;
  }
  if (joining) return "still waiting for the cluster to join";
  if (importing.length > 0) return `all ranks have met; Python still imports Dask on ${hostList(importing)}`;
  return "all ranks have met; still waiting for the scheduler";
}
