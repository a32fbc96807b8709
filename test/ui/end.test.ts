import { expect, test } from "vitest";
import { endText, type Ending } from "../../src/ui/end.ts";

test.each<[Ending, string]>([
  [{ kind: "script", name: "analysis.py", code: 0 }, "analysis.py finished after 12 s on 15 workers."],
  [{ kind: "script", name: "analysis.py", code: 7 }, "analysis.py ended with exit code 7 after 12 s on 15 workers."],
  [
    { kind: "script-killed", name: "analysis.py", signal: "SIGKILL" },
    "analysis.py was ended by SIGKILL after 12 s on 15 workers.",
  ],
  [{ kind: "signal", signal: "SIGINT" }, "stopped by Ctrl-C (SIGINT) after 12 s on 15 workers."],
  [{ kind: "jupyter", code: 0 }, "Jupyter was shut down after 12 s on 15 workers."],
  [{ kind: "idle", seconds: 600 }, "the cluster was idle for 10 min and was shut down after 12 s on 15 workers."],
  [{ kind: "scheduler-lost" }, "the scheduler was lost after 12 s on 15 workers; the launch is over."],
  [{ kind: "rank-lost", rank: 4, host: "h2" }, "rank 4 on h2 was lost after 12 s on 15 workers; the launch is over."],
])("%j", (ending, sentence) => {
  expect(endText(ending, { seconds: 12, workers: 15 })).toBe(`tsdask-mpi: ${sentence}\n`);
});

test("the logs are named when they are kept", () => {
  expect(endText({ kind: "closed" }, { seconds: 1, log: "/scratch/log" })).toBe(
    "tsdask-mpi: the cluster was shut down by a client after 1.0 s.\ntsdask-mpi: logs: /scratch/log\n",
  );
});
