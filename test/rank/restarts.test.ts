import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { restartRecord } from "../../src/rank/restarts.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("a process is started again after pauses that grow to a longest, until it has died too often", () => {
  const record = restartRecord(7);
  const pauses = Array.from({ length: 8 }, () => record.died(undefined));
  expect(pauses).toEqual([200, 400, 800, 1600, 3200, 5000, 5000, undefined]);
});

test("one that had been ready for more than a minute starts with a clean record", () => {
  const record = restartRecord(1);
  const readyAt = performance.now();
  expect(record.died(readyAt)).toBe(200);
  vi.advanceTimersByTime(60_000);
  expect(record.died(readyAt)).toBeUndefined();
  vi.advanceTimersByTime(1);
  expect(record.died(readyAt)).toBe(200);
});
