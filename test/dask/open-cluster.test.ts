import { expect, test } from "vitest";
import { openClusterNote, type OpenClusterFacts } from "../../src/dask/open-cluster.ts";

const facts = (changes: Partial<OpenClusterFacts> = {}): OpenClusterFacts => ({
  program: "tsdask-mpi",
  security: "none",
  scheduler: true,
  protocol: undefined,
  ...changes,
});

test("a cluster without security says what that means, and how to have it otherwise", () => {
  expect(openClusterNote(facts())).toMatch(/security is off: everyone .* run code as you; `--security tls`/);
  expect(openClusterNote(facts({ protocol: "ucx" }))).toMatch(/^UCX .* run code as you; `--protocol tls`/);
  expect(openClusterNote(facts({ program: "dask-mpi" }))).toMatch(
    /^as with dask-mpi.*`tsdask-mpi` makes private clusters/,
  );
});

test("a secure cluster, and a launch that only joins one, say nothing", () => {
  expect(openClusterNote(facts({ security: "tls" }))).toBeUndefined();
  expect(openClusterNote(facts({ scheduler: false }))).toBeUndefined();
});
