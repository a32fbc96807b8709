/** A process that died this long (ms) after it was ready starts with a clean record. */
const cleanRecordAfter = 60_000;
/** The pause (ms) before the first restart, and the longest: each is twice as long as the one before. */
const firstPause = 200;
const longestPause = 5_000;

/** How often a process has died, and whether it is started again. */
export interface RestartRecord {
  /**
   * It died, after it had been ready since `readyAt` (ms of `performance.now()`), if it ever was: the pause before it
   * is started again, undefined when it is not.
   */
  readonly died: (readyAt: number | undefined) => number | undefined;
}

/** Allows so many restarts of a process whose record is not clean. */
export function restartRecord(restarts: number): RestartRecord {
  let deaths = 0;
  return {
    died: (readyAt) => {
      if (readyAt !== undefined && performance.now() - readyAt > cleanRecordAfter) deaths = 0;
      deaths += 1;
      return deaths > restarts ? undefined : Math.min(firstPause * 2 ** (deaths - 1), longestPause);
    },
  };
}
