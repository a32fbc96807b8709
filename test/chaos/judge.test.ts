import { expect, test } from "vitest";
import { findings, mayBeHalfStarted, misplaced } from "./judge.ts";
import type { Fault, Round } from "./plan.ts";

const round = (...faults: Fault[]): Round => ({
  seed: 1,
  number: 1,
  launcher: "openmpi",
  ranks: 5,
  script: "steady",
  code: 7,
  seconds: 1,
  after: "start",
  wait: 300,
  faults,
});
const interrupt: Fault = { kind: "signal", part: "script", signal: "SIGINT", lasts: 0 };
const cut: Fault = { kind: "cut", lasts: 2_000 };
const judged = (of: Round, stderr: string, code = 1, seconds = 3): readonly string[] =>
  findings(of, { code, signal: null, stdout: "", stderr, seconds, timedOut: false }, false);

/** As Python 3.11 wrote it. */
const beforeItsScript = `Fatal Python error: init_import_site: Failed to import the site module
Python runtime state: initialized
Traceback (most recent call last):
  File "<frozen importlib._bootstrap>", line 1176, in _find_and_load
  File "<frozen site>", line 548, in execsitecustomize
KeyboardInterrupt
`;
const inItsScript = `Traceback (most recent call last):
  File "/tmp/x/cwd/script.py", line 3, in <module>
    import os, signal, sys, time
KeyboardInterrupt
`;
const inItsImports = inItsScript.replace(
  "KeyboardInterrupt",
  '  File "/x/lib/python3.11/signal.py", line 3, in <module>\n    from enum import IntEnum\n  File "<frozen importlib._bootstrap>", line 1165, in _find_and_load\nKeyboardInterrupt',
);
const inDask = inItsScript.replace(
  "KeyboardInterrupt",
  '  File "/x/lib/python3.11/site-packages/distributed/client.py", line 1, in f\n    g()\nKeyboardInterrupt',
);
const ended = "tsdask-mpi: script.py was ended by SIGINT after 0.1 s.\n";

test("a Python that is interrupted before or in its script's own lines may say so, and no other", () => {
  for (const said of [beforeItsScript, inItsScript, inItsImports]) {
    expect(judged(round(interrupt), said + ended)).toEqual([]);
    expect(judged(round({ ...interrupt, signal: "SIGTERM" }), said + ended)).toEqual(["a traceback"]);
  }
  expect(judged(round(interrupt), inDask + ended)).toEqual(["a traceback"]);
});

test("ranks that Hydra started for a launch that it had ended may wait for the others, and say so", () => {
  const killed: Fault = { kind: "signal", part: "rank 0", signal: "SIGSEGV", lasts: 0 };
  const half: Round = { ...round(cut, killed), launcher: "mpich" };
  expect(mayBeHalfStarted(half)).toBe(true);
  for (const other of [round(cut, killed), { ...half, faults: [cut] }, { ...half, faults: [killed] }])
    expect(mayBeHalfStarted(other)).toBe(false);
  expect(judged(half, "tsdask-mpi: TSD-031 Rank 2 waited 120 s\n", 11, 122)).toEqual([]);
  expect(judged(half, "", 11, 122)).toEqual(["it ended late, and no message says why"]);
});

test("a launcher that could not start its daemon on a host that was cut off is not ours to judge", () => {
  const said = "ORTE was unable to reliably start one or more daemons.\n";
  expect(judged(round(cut), said)).toEqual([]);
  const found = ["1 instead of the script's 7, though nothing of it was hurt", expect.stringContaining("no message")];
  expect(judged(round(cut), `tsdask-mpi: 0.1.0, 5 ranks\n${said}`)).toEqual(found);
  expect(judged(round(cut), "")).toEqual(found);
});

test("a cluster folder stays that lost the word whose it is, where nobody lived to remove it, and nothing else does", () => {
  const folder = ".tsdask-8d4312fcb02a0081";
  const left = [`file in the working directory: ${folder}`, `file in the working directory: ${folder}/key.pem`];
  const removed = [`removed cwd/${folder}/owner`];
  const killed = { ...interrupt, part: "launcher", signal: "SIGKILL" } as const;
  expect(misplaced(round(killed), removed, [...left, "file in TMPDIR: x"])).toEqual(["file in TMPDIR: x"]);
  expect(misplaced(round(killed), [`removed cwd/${folder}/token`], left)).toEqual(left);
  expect(misplaced(round(interrupt), removed, left)).toEqual(left);
});

test("a launcher that could not make its own folder is not ours to judge, where the temporary folder took nothing", () => {
  const said = "It looks like orte_init failed for some reason\n\n  orte_session_dir failed\n  --> Returned value\n";
  const tmp: Fault = { kind: "read-only", place: "tmp", lasts: 300 };
  expect(judged(round(tmp), said)).toEqual([]);
  expect(judged(round(interrupt), said)).toContainEqual(expect.stringContaining("no message"));
  expect(judged(round(tmp), `tsdask-mpi: 0.1.0, 5 ranks\n${said}`)).toContainEqual(
    expect.stringContaining("no message"),
  );
});
