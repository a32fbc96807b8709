import { expect, it } from "vitest";
import { Pace } from "../../src/commands/open/pace.ts";

/** Looks at a job for so long (s) after it is what it is; when it was looked at, and when asked why it waits (s). */
function looks(pace: Pace, from: number, seconds: number, state: string) {
  const looked: number[] = [];
  const asked: number[] = [];
  for (let now = from * 1000; now < (from + seconds) * 1000; now += pace.next(now, state === "up")) {
    pace.looked(now, state);
    looked.push(now / 1000 - from);
    if (pace.asks(now)) asked.push(now / 1000 - from);
  }
  return { looked, asked };
}

it("looks at a job that waits often at first, and asks for its reason once a minute", () => {
  const pace = new Pace();
  const { looked, asked } = looks(pace, 5, 3600, "pending");
  expect(looked.filter((at) => at < 60)).toEqual(Array.from({ length: 30 }, (_, i) => 2 * i));
  expect(looked.filter((at) => at >= 60 && at < 600)).toEqual(Array.from({ length: 54 }, (_, i) => 60 + 10 * i));
  expect(looked.filter((at) => at >= 600)).toEqual(Array.from({ length: 100 }, (_, i) => 600 + 30 * i));
  expect(asked.slice(0, 7)).toEqual([0, 2, 4, 6, 8, 70, 130]);
  expect(asked.length).toBeLessThan(66);
  // It starts: that is seen soon, and when it waits again, its reason is asked at once.
  expect(looks(pace, 4000, 10, "starting").looked).toEqual([0, 2, 4, 6, 8]);
  expect(looks(pace, 4010, 5, "pending")).toEqual({ looked: [0, 2, 4], asked: [0, 2, 4] });
  expect(looks(pace, 4020, 30, "up").looked).toEqual([0, 10, 20]);
});
