import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { deadlines } from "../../src/deadlines.ts";
import { appendTo } from "../../src/ui/append.ts";

const changed: { lastLines: number } = deadlines;
const { lastLines } = deadlines;

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "tsdask-append-"))));
afterEach(() => {
  changed.lastLines = lastLines;
  rmSync(folder, { recursive: true });
});

/** More (bytes) than a pipe takes. */
const much = 100_000;

/** A pipe that nobody reads: whoever writes more into it than it takes waits, as for a file system that stalls. */
function stalled(): { readonly fd: number; readonly read: () => string; readonly done: () => void } {
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  const fd = openSync(path, constants.O_RDWR);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return {
    fd,
    read: () => {
      const bytes = Buffer.alloc(2 * much);
      try {
        return bytes.toString("utf8", 0, readSync(reader, bytes));
      } catch {
        return ""; // Nothing has come yet.
      }
    },
    done: () => closeSync(reader),
  };
}

test("a file system that stalls holds nobody up, at the end either, and loses nothing", async () => {
  changed.lastLines = 50;
  const { fd, read, done } = stalled();
  const file = appendTo(fd);
  file.append("x".repeat(much));
  file.append("second\n");
  // The first write is on its way, and this goes on.
  await pause(20);
  file.append("third\n");
  await file.close();
  file.append("too late\n");
  let text = "";
  for (const until = performance.now() + 20_000; !text.endsWith("third\n") && performance.now() < until; await pause(5))
    text += read();
  done();
  expect(text).toBe(`${"x".repeat(much)}second\nthird\n`);
});

test("what waits is written when the process ends, and a file that takes nothing is no failure", async () => {
  const path = join(folder, "log");
  const before = process.listeners("exit").length;
  const file = appendTo(openSync(path, "a"));
  file.append("first\n");
  file.append("last\n");
  process.listeners("exit").at(-1)?.call(process, 1);
  await file.close();
  expect(readFileSync(path, "utf8").trim().split("\n").toSorted()).toEqual(["first", "last"]);
  const full = appendTo(openSync("/dev/full", "a"));
  full.append("x");
  await full.written();
  full.append("y");
  await full.close();
  expect(process.listeners("exit")).toHaveLength(before);
});
