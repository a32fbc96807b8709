import { describe, expect, test } from "vitest";
import { advice, usedBy } from "../../src/report/advice.ts";
import { escaped } from "../../src/report/html.ts";
import type { LaunchHead, RecordEvent, RecordLine, WorkerSample } from "../../src/report/lines.ts";
import { reportPage } from "../../src/report/page.ts";
import { parseRecord, type LaunchRecord } from "../../src/report/record.ts";
import { startText, startUp } from "../../src/report/start.ts";
import { courseOf, memoryRows } from "../../src/report/workers.ts";

const GiB = 2 ** 30;
const began = 1_700_000_000_000;
const head: LaunchHead = {
  format: 1,
  name: "nightly",
  launch: "x.1",
  version: "0.1.0",
  started: began,
  launcher: "Open MPI",
  size: 4,
  host: "h1",
  schedulerRank: 0,
  clientRank: 1,
  workerRanks: [2, 3],
  script: "train.py",
  cwd: "/scratch",
  python: "/venv/bin/python",
  options: [["nthreads", "2", "the command line"]],
  job: { system: "slurm", id: "17" },
  jobStarted: began / 1000 - 10,
  ends: began / 1000 - 10 + 7200,
};

const at = (seconds: number, event: RecordEvent): RecordLine => ({ at: began + seconds * 1000, ...event });
const worker = (seconds: number, rank: number, ages?: Record<string, number>): RecordLine =>
  at(seconds, {
    k: "worker",
    rank,
    host: "h1",
    name: `tsdask-${rank}`,
    threads: 2,
    limit: 4 * GiB,
    ...(ages === undefined ? {} : { ages }),
  });
const sample = (seconds: number, ...workers: WorkerSample[]): RecordLine =>
  at(seconds, { k: "sample", workers, finished: 1, idle: seconds });
const lines: readonly RecordLine[] = [
  at(0.1, { k: "launch", ...head }),
  at(0.2, { k: "ranks", host: "h1", ranks: [0, 1, 2, 3] }),
  at(1.2, { k: "python", host: "h1", python: "3.12.1", dask: "2026.8.0" }),
  at(1.4, { k: "scheduler", host: "h1", address: "tls://10.0.0.1:8786" }),
  worker(2, 2, { started: 1900, met: 1700, told: 1650, forked: 500 }),
  worker(3, 3, { started: 2900, met: 2600, told: 2500, forked: 600 }),
  at(2.5, { k: "script", host: "h1" }),
  sample(5, ["tsdask-2", 150, GiB, 0, 2], ["tsdask-3", 20, 3 * GiB, 0, 1]),
  sample(60, ["tsdask-2", 100, GiB / 2, 0, 2]),
];
const page = (more: readonly RecordLine[] = [], rest: Partial<LaunchRecord> = {}): string =>
  reportPage({ head, lines: [...lines, ...more], dask: { problem: "no Bokeh" }, ...rest });
const ended = at(3600, {
  k: "end",
  why: "train.py finished",
  code: 0,
  usage: {
    workers: 2,
    restarts: 0,
    worked: { cpu: 1400, threadSeconds: 14_000, threads: 4, peak: GiB, limit: 4 * GiB },
  },
});

describe("the page", () => {
  test("tells how the launch ended, what it used, and what to ask for next time", () => {
    const idle = (threadSeconds: number): RecordLine =>
      at(3590, { k: "sample", workers: [], finished: 1, idle: threadSeconds });
    const text = page([idle(12_000), ended]);
    for (const part of ["train.py finished, exit code 0", 'class="how good"', "3.89 core-hours", "slurm 17", "None."])
      expect(text).toContain(part);
    expect(text).toContain("The last of 2 workers (rank 3 on h1) was in 3.0 s after the first process.");
    expect(text).toContain("about 1 worker in place of 2");
    // Threads that had tasks that wait are not too many.
    expect(page([idle(1400), ended])).toContain(
      "threads had tasks 90 % of the time, but the processor worked 10 % of it",
    );
    expect(text).toContain("There is none: no Bokeh.");
  });

  test("of a launch that says nothing more tells as of when it is", () => {
    const text = page([at(70, { k: "signal", signal: "SIGTERM" })]);
    expect(text).toContain("it was told to end, and has said nothing more");
    expect(text).toContain("It got the signal SIGTERM.");
    expect(page()).toContain("it runs, or was killed without a word");
  });

  test("has each loss with its reason, and every message", () => {
    const text = page([
      at(80, { k: "lost", rank: 3, host: "h1", why: "it used 5000 MiB", restarting: true, cause: "memory" }),
      at(81, { k: "message", text: "TSD-055 The worker of rank 3 was lost" }),
      ended,
    ]);
    expect(text).toMatch(
      /<td>1 min 20 s<\/td><td>rank 3<\/td><td>h1<\/td><td>it used 5000 MiB<\/td><td>started again<\/td>/,
    );
    expect(text).toContain("TSD-055 The worker of rank 3 was lost");
    expect(text).toContain("workers died of it at 4 GiB each");
  });

  test("advises by what a loss was, not by its words", () => {
    const why = "it ended with exit code 1; its last words: read 512 MiB, SIGKILL ignored";
    const text = page([at(80, { k: "lost", rank: 3, host: "h1", why, restarting: true }), ended]);
    expect(text).not.toContain("workers died of it");
  });

  test("says that memory was it only where a worker was seen with much of it", () => {
    const why = "it was killed (SIGKILL): by the system for want of memory, or by somebody";
    const lost = at(80, { k: "lost", rank: 3, host: "h1", why, restarting: true, cause: "killed" });
    expect(page([lost, ended])).toContain("workers died of it at 4 GiB each");
    const few = lines.map((line) =>
      line.k === "sample" ? sample(60, ["tsdask-2", 1, GiB / 2, 0, 1], ["tsdask-3", 1, GiB / 2, 0, 1]) : line,
    );
    const { usage: _, ...end } = ended as Extract<RecordLine, { k: "end" }>;
    const text = reportPage({ head, lines: [...few, lost, end], dask: { problem: "no Bokeh" } });
    expect(text).toContain("none was seen with more than 512 MiB of its 4 GiB");
    expect(text).not.toContain("workers died of it");
  });

  test("is text wherever the user's words are, whatever they are", () => {
    const bad = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>\u202e\u0007`;
    const text = reportPage({
      head: { ...head, name: bad, script: bad, cwd: bad, python: bad, host: bad, options: [[bad, bad, bad]] },
      lines: [
        ...lines,
        at(61, { k: "ranks", host: bad, ranks: [9] }),
        at(62, { k: "worker", rank: 9, host: bad, name: bad, threads: 1, limit: 0 }),
        at(63, { k: "lost", rank: 9, host: bad, why: bad, restarting: false }),
        at(64, { k: "message", text: bad }),
        sample(65, [bad, 1, 1, 1, 1]),
        at(66, { k: "end", why: bad, code: 1 }),
      ],
      dask: { html: bad },
      accounting: { text: bad, asOf: began },
    });
    const [frame = ""] = /srcdoc="[^"]*"/.exec(text) ?? [];
    expect(frame).toContain("&quot;'><img");
    expect(text.replace(frame, "")).not.toMatch(/<script|<img|[\u202e\u0007]/);
    expect(escaped(bad)).not.toMatch(/[<>"']/);
  });

  test("fetches nothing, and has scripts only in Dask's frame, which has no origin", () => {
    const dask = '<link rel="shortcut icon" href="https://docs.dask.org/x.ico" /><p title="a">&amp;</p>';
    const text = page([], { dask: { html: dask } });
    expect(text).toContain("default-src 'none'");
    expect(text).toContain('sandbox="allow-scripts" srcdoc="<p title=&quot;a&quot;>&amp;amp;</p>"');
    expect(text).not.toContain("docs.dask.org");
    expect(page()).not.toContain("script-src");
  });

  test("is there of nothing, too", () => {
    expect(reportPage({ head: undefined, lines: [], dask: { problem: "x" } })).toContain("Nothing is known of it yet");
    expect(reportPage({ head, lines: [], dask: { problem: "x" } })).toContain("No worker ever registered");
  });
});

test("the start says what most of it went to, by each rank's own lengths of time", () => {
  const start = startUp(head, lines);
  expect(start.ranks[1]).toMatchObject({ rank: 3, started: 100, met: 400, told: 500, forked: 2400, registered: 3000 });
  expect(startText(start)).toContain("1.9 s (63 %), went to Python's import of Dask");
  expect(startText({ ...start, missing: [4, 5] })).toContain("2 never came.");
});

test("a worker that came back counts with its first life", () => {
  expect(startUp(head, [...lines, worker(90, 2)]).ranks[0]).toMatchObject({ rank: 2, registered: 2000 });
});

test("a long run's samples are thinned out, the fullest moment of each worker kept", () => {
  const many = Array.from({ length: 1000 }, (_, index) =>
    sample(10 + index, ["tsdask-2", 50, index === 501 ? 3 * GiB : GiB, 0, 1]),
  );
  const course = courseOf(began, [worker(1, 2), ...many]);
  expect(course.times.length).toBeLessThanOrEqual(160);
  expect(course.workers[0]).toMatchObject({ mostMemory: 3 * GiB, busy: 0.25 });
  expect(memoryRows(course)[0]?.cells.filter((cell) => cell === 0.75)).toHaveLength(1);
});

describe("what to ask for next time", () => {
  const told = (end: RecordLine, of = head): string => {
    const all = [...lines, end];
    const last = end.k === "end" ? end : undefined;
    return advice(of, usedBy(of, all, courseOf(began, all), last), last).join(" ");
  };
  test("less memory, workers and time where they were not used", () => {
    const text = told({
      ...ended,
      usage: { ...(ended.k === "end" ? ended.usage : {}), workers: 2, restarts: 0 },
    } as RecordLine);
    expect(text).toContain("Time: it took 1 h of the job's 2 h; with 1 h 19 min the job would start sooner");
  });
  test("the time that the job spent before the launch is asked for, too", () => {
    const staged = { ...head, jobStarted: began / 1000 - 3 * 3600, ends: began / 1000 + 3 * 3600 };
    expect(told({ ...ended, at: began + 1_800_000 }, staged)).toContain(
      "it took 30 min, 3 h after the job's start, of the job's 6 h; with 3 h 39 min the job would start sooner",
    );
    const { jobStarted: _, ...unknown } = staged;
    expect(told({ ...ended, at: began + 1_800_000 }, unknown)).not.toContain("Time:");
  });
  test("more time where it ran out, and nothing after a moment", () => {
    const end = { k: "end", why: "train.py says that its time was over", code: 143 } as const;
    expect(told(at(3600, { ...end, ending: "walltime" }))).toContain("ran out after 1 h");
    expect(told(at(3600, { ...end, ending: "script" }))).not.toContain("ran out");
  });
});

test("half a line, and what is no line of ours, is passed over", () => {
  const text = `${JSON.stringify(ended)}\n{"k":"lost","at":"x"}\nhalf a li`;
  expect(parseRecord(text)).toEqual([ended]);
});
