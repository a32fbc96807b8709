import { expect, test } from "vitest";
import { endText, type Ending } from "../../src/ui/end.ts";
import { usageText } from "../../src/ui/usage.ts";

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

test("a script's name steers no terminal, neither at the end nor in what is said of its use", () => {
  const script = { kind: "script", name: "s\u001b[32m.py", code: 0 } as const;
  const usage = {
    workers: 1,
    restarts: 0,
    scheduled: { clients: 0, tasks: 0, used: 0, seen: 1, spilled: 0, unrunnable: 0 },
  };
  for (const text of [endText(script, { seconds: 1 }), usageText(usage, script)]) {
    expect(text).toContain(String.raw`s\u001b[32m.py`);
    expect(text).not.toContain("\u001b");
  }
});

test("the logs are named when they are kept", () => {
  expect(endText({ kind: "closed" }, { seconds: 1, log: "/scratch/log" })).toBe(
    "tsdask-mpi: the cluster was shut down by a client after 1.0 s.\ntsdask-mpi: logs: /scratch/log\n",
  );
});
