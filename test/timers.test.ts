import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { callAfter, pauseFor } from "../src/timers.ts";

const day = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("a timer", () => {
  test.each([
    ["none at all", 0],
    ["a moment", 20],
    ["as long as one of Node's is at most", 2 ** 31 - 1],
    ["a millisecond longer than that", 2 ** 31],
    ["three of them and more", 80 * day + 1],
    ["as long as --grace and the like may be", 1e12],
  ])("fires once, when it is due: %s", (_, ms) => {
    const act = vi.fn();
    callAfter(ms, act);
    vi.advanceTimersByTime(Math.max(0, ms - 1));
    expect(act).toHaveBeenCalledTimes(ms === 0 ? 1 : 0);
    vi.advanceTimersByTime(1);
    vi.advanceTimersByTime(100 * day);
    expect(act).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([0, 10, 30])("does not fire any more when it is cancelled on its day %i", (days) => {
    const cancel = callAfter(60 * day, () => expect.unreachable());
    vi.advanceTimersByTime(days * day);
    cancel();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(100 * day);
  });

  test("keeps its process or not, also when it was armed again", () => {
    const arm = vi.spyOn(globalThis, "setTimeout");
    callAfter(60 * day, () => undefined);
    callAfter(60 * day, () => undefined, { ref: false });
    vi.advanceTimersByTime(30 * day);
    const kept = arm.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef());
    expect(kept).toEqual([true, false, true, false]);
  });
});

describe("a pause", () => {
  test("ends when it is due, also after more than a timer of Node's takes", async () => {
    const over = vi.fn();
    void pauseFor(30 * day, new AbortController().signal).then(over);
    await vi.advanceTimersByTimeAsync(30 * day - 1);
    expect(over).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(over).toHaveBeenCalled();
  });

  test.each([
    ["before it", true],
    ["in it", false],
  ])("ends with its signal, and leaves no timer: %s", async (_, before) => {
    const ended = new AbortController();
    if (before) ended.abort();
    const paused = pauseFor(30 * day, ended.signal);
    ended.abort();
    await paused;
    expect(vi.getTimerCount()).toBe(0);
  });
});
