import { expect, it } from "vitest";
import { expandHostlist } from "../../src/batch/hostlist.ts";

it.each([
  ["n1", ["n1"]],
  ["n[1-3]", ["n1", "n2", "n3"]],
  ["n[08-10,3],login1", ["n08", "n09", "n10", "n3", "login1"]],
  ["r[1-2]c[1-2]", ["r1c1", "r1c2", "r2c1", "r2c2"]],
  ["", []],
])("%s", (text, hosts) => {
  expect(expandHostlist(text)).toEqual(hosts);
});

it.each(["n[1", "n[3-1]", "n[1-999999999]", "n]1[", "n[a-b]", "n 1", "r[1-99999]c[1-99999]"])(
  "%s is refused",
  (text) => {
    expect(expandHostlist(text)).toBeUndefined();
  },
);
