import { expect, test } from "vitest";
import { bytesText, durationText } from "../../src/ui/format.ts";

test("bytes are shown in binary units", () => {
  expect([0, 512, 1536, 4 * 1024 ** 3, 353.4 * 1024 ** 3].map(bytesText)).toEqual([
    "0 B",
    "512 B",
    "1.5 KiB",
    "4 GiB",
    "353 GiB",
  ]);
});

test("durations are shown as people say them", () => {
  expect([-1, 0.94, 9.96, 59.4, 60, 185, 3600, 7800].map(durationText)).toEqual([
    "0.0 s",
    "0.9 s",
    "10 s",
    "59 s",
    "1 min",
    "3 min 5 s",
    "1 h",
    "2 h 10 min",
  ]);
});
