import { expect, test } from "vitest";
import type { Ending } from "../../src/ui/end.ts";
import { usageText, type Usage } from "../../src/ui/usage.ts";

const script = { kind: "script", name: "a.py", code: 0 } as const satisfies Ending;
const scheduled = { clients: 1, tasks: 40, used: 6, seen: 6, spilled: 0, unrunnable: 0 };
const worked = { cpu: 12, threadSeconds: 48, threads: 12, peak: 512 * 2 ** 20, limit: 2 * 2 ** 30 };
const usage = (change: Partial<NonNullable<Usage["scheduled"]>> = {}, workers = 6): Usage => ({
  workers,
  restarts: 0,
  scheduled: { ...scheduled, ...change },
  worked,
});
const lines = (used: Usage, ending: Ending = script): string[] =>
  usageText(used, ending)
    .split("\n")
    .slice(0, -1)
    .map((line) => line.replace("tsdask-mpi: ", ""));

test("a cluster that was used gets one line of figures", () => {
  expect(lines(usage())).toEqual(["40 tasks, processor 25 % of 12 threads, at most 512 MiB of 2 GiB in a worker"]);
});

test("restarts and spilled bytes are told where there were any", () => {
  expect(lines({ ...usage({ spilled: 3 * 2 ** 30 }), restarts: 1 })).toEqual([
    "40 tasks, processor 25 % of 12 threads, at most 512 MiB of 2 GiB in a worker, 1 restart, 3 GiB spilled to disk",
  ]);
});

test.each<[string, Usage, Ending, string | undefined]>([
  [
    "no client",
    usage({ clients: 0, tasks: 0, used: 0 }),
    script,
    "no client ever connected: a.py made no `Client()` of this cluster, so the workers had nothing to do.",
  ],
  [
    "no client, and a script that failed",
    usage({ clients: 0, tasks: 0, used: 0 }),
    { ...script, code: 1 },
    "no client ever connected: a.py ended before it made a `Client()` of this cluster, so the workers had nothing to do.",
  ],
  [
    "no client of a cluster without a script",
    usage({ clients: 0, tasks: 0, used: 0 }),
    { kind: "idle", seconds: 60 },
    "no client ever connected.",
  ],
  [
    "no task",
    usage({ tasks: 0, used: 0 }),
    script,
    'a client connected, no task ran: nothing was submitted to it, or it was computed in the script\'s own process (`scheduler="threads"`, or a cluster of its own).',
  ],
  [
    "no task and no worker",
    usage({ tasks: 0, used: 0, seen: 0 }, 0),
    script,
    "a client connected, no task ran: no worker had registered when it ended (--wait-workers 1 has the script wait for one).",
  ],
  [
    "tasks that no worker could run",
    usage({ tasks: 0, used: 0, unrunnable: 2 }),
    { ...script, code: 1 },
    "2 tasks waited for a worker in vain: none had the resources (`--resources GPU=1`, `--group`), or was the worker, that they asked for.",
  ],
  [
    "fewer tasks than workers",
    usage({ tasks: 2, used: 2 }),
    script,
    "tasks ran on 2 of 6 workers: with only 2 tasks, some had nothing to do; more and smaller partitions or chunks use more.",
  ],
  [
    "workers without a task beside many tasks",
    usage({ used: 2 }),
    script,
    "tasks ran on 2 of 6 workers: the others came late, or tasks stayed where their data was; more and smaller partitions or chunks use more.",
  ],
  [
    "workers that were lost beside few tasks",
    { ...usage({ tasks: 2, used: 1 }), restarts: 8 },
    script,
    "tasks were done on 1 of 6 workers: some were lost on the way (8 restarts), and what they ran with them; the TSD-055 lines above say why.",
  ],
  ["workers of jobs that were added", usage({ seen: 8, used: 8 }), script, undefined],
  ["a lost scheduler", usage({ tasks: 0, used: 0 }), { kind: "scheduler-lost" }, undefined],
])("the likely reason of: %s", (_, used, ending, sentence) => {
  expect(lines(used, ending)[1]).toBe(sentence);
});

test("what is not known is left out: a killed scheduler, a cluster that was joined", () => {
  expect(lines({ workers: 6, restarts: 0, worked: { ...worked, limit: 0, cpu: 0.1 } })).toEqual([
    "processor under 1 % of 12 threads, at most 512 MiB in a worker",
  ]);
  expect(lines({ workers: 6, restarts: 0, worked: { ...worked, peak: 0 } })).toEqual(["processor 25 % of 12 threads"]);
  expect(usageText({ workers: 0, restarts: 0 }, script)).toBe("");
});
