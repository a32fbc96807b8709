/**
 * What `--report` costs: the same script with and without it, in alternating rounds. Seconds from the start of the
 * launcher to its end, processor of all its processes, and of the scheduler until the script's end.
 * Usage: node bench/report.ts [--runs 5] [--tasks 3000] [--python PATH]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, projectRoot, tsdaskMpi } from "../test/integration/bed/command.ts";
import { start, tell } from "../test/integration/bed/run.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { readNumber, readOptions } from "./lib/options.ts";
import { benchPython } from "./lib/python.ts";
import { figure, printTable, progress, writeResult } from "./lib/report.ts";
import { median, spread, turned } from "./lib/statistics.ts";

/** All in seconds. */
interface Cost {
  readonly elapsed: number;
  readonly processor: number;
  readonly scheduler: number;
}

const { values } = readOptions(import.meta.filename, {
  options: {
    runs: { type: "string", default: "5" },
    tasks: { type: "string", default: "3000" },
    python: { type: "string" },
  },
});
const runs = readNumber("runs", values.runs);
const tasks = readNumber("tasks", values.tasks);
const python = await benchPython(values.python);
const script = join(projectRoot, "bench", "report.py");
const workers = 2;
const setups = [
  { name: "without", words: [] },
  { name: "with", words: ["--report", "page.html"] },
] as const;
const figures = ["elapsed", "processor", "scheduler"] as const;

const begun = machine();
progress(machineLine(begun));
const measured = { without: [] as Cost[], with: [] as Cost[] };
for (let round = 0; round < runs; round += 1) {
  for (const { name, words } of turned(setups, round)) {
    const cost = await run(words);
    measured[name].push(cost);
    progress(`round ${round + 1}: ${name}: ${figures.map((key) => `${key} ${cost[key].toFixed(2)} s`).join(", ")}`);
  }
}

/** What was more with the report, in each round: what else the machine did weighs on both alike. */
const more = (key: keyof Cost): number[] =>
  measured.with.map((cost, round) => cost[key] - (measured.without[round]?.[key] ?? NaN));
const share = (key: keyof Cost): number[] =>
  more(key).map((value, round) => (100 * value) / (measured.without[round]?.[key] ?? NaN));
printTable(
  `--report, ${tasks} tasks on ${workers} workers of one thread, medians of ${runs} rounds`,
  ["", "without", "with", "more, s", "more, %"],
  figures.map((key) => [
    key,
    ...(["without", "with"] as const).map((name) => figure(median(measured[name].map((cost) => cost[key])))),
    figure(median(more(key))),
    figure(median(share(key)), 1),
  ]),
);
const results = figures.map((key) => ({
  figure: key,
  without: spread(measured.without.map((cost) => cost[key])),
  with: spread(measured.with.map((cost) => cost[key])),
  more: spread(more(key)),
  percent: spread(share(key)),
}));
progress(writeResult("report", begun, { python: python.versions, tasks, workers, results }));

async function run(words: readonly string[]): Promise<Cost> {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const launch = [
    ...[tsdaskMpi, "--np", String(workers + 2), "--python", python.path, "--nthreads", "1", "--memory-limit", "1GiB"],
    ...[...words, script, String(workers), String(tasks)],
  ];
  try {
    // bash's `times` counts every process below it that was waited for.
    const { file, args, env } = command("bash", "-c", '"$@" && times', "bash", ...launch);
    const running = start(
      { file, args, env: { ...env, XDG_STATE_HOME: folder, TMPDIR: folder } },
      { folder, deadline: 300 },
    );
    const finished = await running.finished;
    if (finished.code !== 0) throw new Error(tell(finished));
    const [scheduler = "", , children = ""] = finished.stdout.split("\n");
    const processor = [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
      (sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds),
      0,
    );
    return { elapsed: finished.seconds, processor, ...(JSON.parse(scheduler) as { readonly scheduler: number }) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
