import { expect, it } from "vitest";
import { terminateBytes } from "../../src/rank/worker.ts";

it("a worker is ended at the fraction of its limit that its Dask configuration names, or never", () => {
  const at = (terminate: unknown, planned = 950): number => terminateBytes({ terminate, limit: 1000, planned });
  expect([at(0.5), at(0.95), at(false), at(0), at(null), at("x"), at(undefined)]).toEqual([
    500, 950, 0, 0, 950, 950, 950,
  ]);
  expect(at(0.5, 0)).toBe(0);
  expect(terminateBytes({ terminate: 0.5, limit: 0, planned: 950 })).toBe(950);
});
