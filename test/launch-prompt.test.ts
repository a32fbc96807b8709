import { expect, test } from "vitest";
import { isPrompt } from "../src/commands/local.ts";

test.each([
  ["ipython", true],
  ["ipython analysis.ipy", false],
  ["python", true],
  ["python3.11 -q", true],
  ["/usr/bin/python -i analysis.py", true],
  ["python -qi", true],
  ["python -m IPython", true],
  ["python -m pdb analysis.py", true],
  ["python -m pytest -i", false],
  ["python analysis.py -i", false],
  ["python -c pass", false],
  ["bash", true],
  ["bash run.sh", false],
  ["./simulate", false],
])("on a terminal, `-- %s` is a prompt: %s", (words, expected) => {
  expect(isPrompt({ kind: "command", words: words.split(" ") })).toBe(expected);
});

test("`-` on a terminal is one, a script and nothing are none", () => {
  expect(isPrompt({ kind: "stdin", words: ["-"] })).toBe(true);
  expect(isPrompt({ kind: "python", words: ["a.py"] })).toBe(false);
  expect(isPrompt(undefined)).toBe(false);
});
