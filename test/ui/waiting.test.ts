import { expect, test } from "vitest";
import { waitingText, type WaitingFacts } from "../../src/ui/waiting.ts";

const facts: WaitingFacts = { seconds: 20, size: 16, missing: [], importing: [], joining: false };

test.each<[Partial<WaitingFacts>, string]>([
  [{ missing: [3, 4, 5, 9] }, "12 of 16 ranks have met; missing: ranks 3-5,9; after 20 s"],
  [{ missing: [9], joining: true }, "15 of 16 ranks have met; missing: rank 9; after 20 s"],
  [{ importing: ["n1", "n2"] }, "all ranks have met; Python still imports Dask on n[1-2] after 20 s"],
  [{ joining: true, importing: ["n1"] }, "still waiting for the cluster to join after 20 s"],
  [{}, "all ranks have met; still waiting for the scheduler after 20 s"],
])("%j", (change, text) => {
  expect(waitingText({ ...facts, ...change })).toBe(`tsdask-mpi: ${text}\n`);
});
