import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Failure } from "../../src/errors/failure.ts";
import { collectFailures, failureText, wantsColour } from "../../src/ui/failure-text.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const facts = { problem: "it broke", log: "/log", rank: 3, host: "h1" };

test("a failure is one block: what, cause, cure and where, each line behind our name", () => {
  const text = failureText({ code: "TSD-070", facts, rank: 3, host: "h1" });
  const lines = text.trimEnd().split("\n");
  expect(lines).toHaveLength(3);
  expect(lines.every((line) => line.startsWith("tsdask-mpi: "))).toBe(true);
  expect(lines[0]).toContain("TSD-070 ");
  // It names its rank itself; a message that does not gets a line for it.
  expect(failureText({ code: "TSD-001", facts: {}, rank: 3, host: "h1" })).toContain(
    "tsdask-mpi:   where: rank 3 on h1\n",
  );
  expect(text).not.toContain("\u001b");
});

test("a thrown failure is shown the same way", () => {
  expect(failureText(new Failure("TSD-001"))).toContain("tsdask-mpi: TSD-001 ");
});

test("the code is coloured only where colour is wanted", () => {
  expect(failureText(new Failure("TSD-001"), { colour: true })).toContain("\u001b[1;31mTSD-001\u001b[0m");
  expect(wantsColour({ tty: true, noColor: undefined })).toBe(true);
  expect(wantsColour({ tty: true, noColor: "" })).toBe(true);
  expect(wantsColour({ tty: true, noColor: "1" })).toBe(false);
  expect(wantsColour({ tty: false, noColor: undefined })).toBe(false);
});

test("the same failure on many ranks is shown once, with the ranks", () => {
  const shown: string[] = [];
  const failures = collectFailures({ show: (text) => shown.push(text) });
  for (let rank = 1; rank <= 40; rank += 1) {
    failures.add({
      code: "TSD-070",
      facts: { ...facts, rank, host: `n${1 + (rank % 4)}` },
      rank,
      host: `n${1 + (rank % 4)}`,
    });
  }
  failures.add({ code: "TSD-001", facts: {}, rank: 2, host: "n1" });
  vi.advanceTimersByTime(2_500);
  expect(shown).toHaveLength(2);
  expect(shown[0]).toContain("where: ranks 1-40 on n[1-4]");
  failures.add({ code: "TSD-001", facts: {}, rank: 3, host: "n1" });
  failures.flush();
  expect(shown).toHaveLength(2);
});

test("a warning may come again, but not without end", () => {
  const shown: string[] = [];
  const failures = collectFailures({ show: (text) => shown.push(text) });
  for (let rank = 0; rank < 100; rank += 1) {
    failures.add({ code: "TSD-055", facts: { rank, host: "h1", why: "it crashed" }, rank, host: "h1" });
    failures.flush();
  }
  expect(shown).toHaveLength(21);
  expect(shown[0]).toContain("  cure:  ");
  expect(shown[1]).toMatch(/^tsdask-mpi: TSD-055 The worker of rank 1 on h1 .+\n$/);
  expect(shown.at(-1)).toBe("tsdask-mpi: further TSD-055 are in the log only\n");
});

test("a steady stream of failures does not hold them back for ever", () => {
  const shown: string[] = [];
  const failures = collectFailures({ show: (text) => shown.push(text), now: () => Date.now() });
  for (let rank = 0; rank < 30; rank += 1) {
    failures.add({ code: "TSD-070", facts, rank });
    vi.advanceTimersByTime(100);
  }
  expect(shown.length).toBe(1);
});
