import { appendFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { logFiles, parseLine, readFrom, readLogs } from "../../src/registry/log-files.ts";

const folder = mkdtempSync(join(tmpdir(), "tsdask-logs-"));
afterAll(() => rmSync(folder, { recursive: true }));

const record = (time: number, rank: number, msg: string): string =>
  `${JSON.stringify({ level: 30, time: new Date(time).toISOString(), rank, host: "h1", msg })}\n`;

test("several files are merged in time, and filtered", async () => {
  const [a, b] = [join(folder, "a.jsonl"), join(folder, "b.jsonl")];
  writeFileSync(a, record(1000, 0, "one") + record(3000, 0, "three"));
  writeFileSync(b, record(2000, 1, "two") + record(4000, 1, "four"));
  const all = await readLogs([a, b], {});
  expect(all.lines.map(({ text }) => text)).toEqual(["one", "two", "three", "four"]);
  expect((await readLogs([a, b], { rank: 1, since: 3000 })).lines.map(({ text }) => text)).toEqual(["four"]);
});

test("a line that is still being written is read when it is whole", async () => {
  const path = join(folder, "c.jsonl");
  const [first, second] = [record(1000, 0, "first"), record(2000, 0, "second, in UTF-8: é")];
  writeFileSync(path, first + second.slice(0, 30));
  const early = await readFrom(path, 0, {});
  expect(early.lines.map(({ text }) => text)).toEqual(["first"]);
  appendFileSync(path, second.slice(30));
  expect((await readFrom(path, early.end, {})).lines.map(({ text }) => text)).toEqual(["second, in UTF-8: é"]);
});

test("a line may hold what Unicode takes for the end of a line, and be longer than one read", async () => {
  const path = join(folder, "d.jsonl");
  const texts = ["one\u2028two\u2029three", `${"é".repeat(70_000)}\u2028`, "last"];
  writeFileSync(path, texts.map((text, index) => record(index, 0, text)).join(""));
  const read = await readFrom(path, 0, {});
  expect(read.lines.map(({ text }) => text)).toEqual(texts);
  expect(read.end).toBe(statSync(path).size);
});

test("what is no record of ours is passed over; what a record holds besides its text is shown", () => {
  expect(parseLine("half a li")).toBeUndefined();
  expect(parseLine("{}")).toBeUndefined();
  expect(parseLine('{"level":40,"time":"2026-01-01T00:00:00Z","rank":2,"why":"killed","msg":"lost"}')).toMatchObject({
    level: "warn",
    rank: 2,
    text: "lost (why=killed)",
  });
});

test("of a folder that several launches share, a launch's own files are taken", async () => {
  writeFileSync(join(folder, "tsdask-aaaa-hub.jsonl"), "");
  writeFileSync(join(folder, "tsdask-bbbb-hub.jsonl"), "");
  expect(await logFiles(folder, "bbbb.123")).toEqual([join(folder, "tsdask-bbbb-hub.jsonl")]);
  expect(await logFiles(join(folder, "none"), "bbbb.123")).toEqual([]);
});
