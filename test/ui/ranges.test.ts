import { describe, expect, test } from "vitest";
import { count, hostList, numberRanges } from "../../src/ui/ranges.ts";

describe("host names are shortened as batch systems do", () => {
  test.each([
    [["n001", "n002", "n003", "n004"], "n[001-004]"],
    [["n001", "n003", "n002", "n007"], "n[001-003,007]"],
    [["h1"], "h1"],
    [["h1", "h1"], "h1"],
    [["n8", "n9", "n10", "n11"], "n[8-11]"],
    [["n08", "n09", "n10", "n11"], "n[08-11]"],
    [["n008", "n08"], "n008,n08"],
    [["n001.cluster.local", "n002.cluster.local", "login"], "n[001-002].cluster.local,login"],
    [["gpu-a", "gpu-b"], "gpu-a,gpu-b"],
    [["10.77.0.1", "10.77.0.2"], "10.77.0.[1-2]"],
    [[], ""],
  ])("%j", (hosts, short) => {
    expect(hostList(hosts)).toBe(short);
  });

  test("a long list of unlike names is cut, with a count", () => {
    const hosts = Array.from({ length: 30 }, (_, index) => String.fromCharCode(97 + (index % 26)).repeat(1 + index));
    expect(hostList(hosts)).toMatch(/ and 22 more$/);
  });

  test("no host is lost or doubled among thousands", () => {
    const hosts = Array.from({ length: 5000 }, (_, index) => `n${String(index).padStart(5, "0")}`);
    expect(hostList(hosts)).toBe("n[00000-04999]");
  });
});

test("ranks are shown as ranges, whatever their order", () => {
  expect(numberRanges([7, 3, 2, 4, 3])).toBe("2-4,7");
  expect(numberRanges([])).toBe("");
});

test("a count has its noun in the right number", () => {
  expect([count(1, "worker"), count(2, "worker"), count(0, "worker")]).toEqual(["1 worker", "2 workers", "0 workers"]);
});
