import { PassThrough } from "node:stream";
import { setImmediate as settled } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { logFilter, relay } from "../../src/ui/relay.ts";
import { memoryOut } from "./memory-out.ts";

// `settled()`: what a stream does by itself it does in ticks, all of which come before the next turn of the event loop.

const label = "[rank 3 h1]";

const relayed = async (chunks: readonly (string | Uint8Array)[], level?: "info" | "warning") => {
  const source = new PassThrough();
  const out = memoryOut();
  const running = relay({ source, out, label, ...(level && { level }) });
  for (const chunk of chunks) source.write(chunk);
  source.end();
  await running.done;
  return { out, tail: running.tail() };
};

describe("a child's output", () => {
  test("gets the label on every line, however the bytes arrive", async () => {
    const { out } = await relayed(["one\ntw", "o\n", "\nlast"]);
    expect(out.text()).toBe(`${label} one\n${label} two\n${label} \n${label} last\n`);
  });

  test("keeps bytes that are not UTF-8", async () => {
    const { out } = await relayed([
      Uint8Array.of(0xff, 0xfe, 0x00, 0x0a),
      Uint8Array.of(0xc3),
      Uint8Array.of(0xa9, 0x0a),
    ]);
    expect(out.bytes()).toEqual(
      Buffer.concat([Buffer.from(`${label} `), Buffer.of(0xff, 0xfe, 0x00, 0x0a), Buffer.from(`${label} é\n`)]),
    );
  });

  test("is cut into bounded pieces where a line has no end, between characters, with nothing lost", async () => {
    const long = "é".repeat(100_000);
    const { out } = await relayed([long.slice(0, 33_333), long.slice(33_333), "\nshort\n"]);
    const lines = out.text().trimEnd().split("\n");
    expect(lines.every((line) => line.startsWith(`${label} `) && Buffer.byteLength(line) < 4096)).toBe(true);
    expect(
      lines
        .slice(0, -1)
        .map((line) => line.slice(label.length + 1))
        .join(""),
    ).toBe(long);
    expect(lines.at(-1)).toBe(`${label} short`);
  });

  test("is written in pieces that a shared pipe keeps whole", async () => {
    const { out } = await relayed(["x".repeat(99).concat("\n").repeat(2_000)]);
    expect(out.writes().every((write) => write.length <= 4096 && write.at(-1) === 10)).toBe(true);
    expect(out.text().split("\n")).toHaveLength(2_001);
  });

  test("is not read while the reader of ours is full", async () => {
    const source = new PassThrough({ highWaterMark: 1024 });
    const out = memoryOut();
    out.hold(true);
    const running = relay({ source, out, label });
    source.write("first\n");
    expect(source.isPaused()).toBe(true);
    let taken = 0;
    while (source.write(`${"y".repeat(100)}\n`)) taken += 1;
    await settled();
    expect(out.text()).toBe(`${label} first\n`);
    expect(taken).toBeLessThan(50);
    out.hold(false);
    source.end();
    await running.done;
    expect(out.text().split("\n").length).toBeGreaterThan(taken + 1);
  });

  test("ends when it is told to, though a grandchild keeps it open", async () => {
    const source = new PassThrough();
    const out = memoryOut();
    const running = relay({ source, out, label });
    source.write("half a line");
    await settled();
    running.stop();
    await running.done;
    source.write("too late\n");
    await settled();
    expect(out.text()).toBe(`${label} half a line\n`);
  });

  test("that breaks off with an error is an end like another", async () => {
    const source = new PassThrough();
    const out = memoryOut();
    const running = relay({ source, out, label });
    source.write("before\n");
    await settled();
    source.destroy(new Error("reset"));
    await running.done;
    expect(out.text()).toBe(`${label} before\n`);
  });

  test("is remembered at its end, a few kilobytes of it", async () => {
    const { tail } = await relayed([
      ...Array.from({ length: 5_000 }, (_, index) => `line ${index}\n`),
      "ImportError: no dask\n",
    ]);
    expect(tail.endsWith("line 4999\nImportError: no dask\n")).toBe(true);
    expect(tail.length).toBeLessThan(4_200);
  });
});

describe("Dask's log lines", () => {
  const record = (level: string, text: string) => `2026-01-31 12:00:00,123 - distributed.worker - ${level} - ${text}\n`;

  test("below the level are left out; everything else stays", async () => {
    const { out } = await relayed(
      [
        record("INFO", "hello"),
        "printed by a task\n",
        record("WARNING", "careful"),
        record("ERROR", "bad"),
        record("INFO", "bye"),
      ],
      "warning",
    );
    expect(out.text()).toBe(
      [
        `${label} printed by a task\n`,
        `${label} ${record("WARNING", "careful")}`,
        `${label} ${record("ERROR", "bad")}`,
      ].join(""),
    );
  });

  test("of a child that is being ended are left out, but for what is critical", async () => {
    const source = new PassThrough();
    const out = memoryOut();
    const running = relay({ source, out, label, level: "warning" });
    source.write(record("WARNING", "before"));
    await settled();
    running.quieten();
    source.end(
      `${record("ERROR", "connection closed")}Traceback (most recent call last):\n  File x\nCommClosedError: y\n${record("CRITICAL", "disk on fire")}bye\n`,
    );
    await running.done;
    expect(out.text()).toBe(
      `${label} ${record("WARNING", "before")}${label} ${record("CRITICAL", "disk on fire")}${label} bye\n`,
    );
  });

  test("take their indented lines and tracebacks with them", () => {
    const wanted = logFilter("error");
    const lines = [
      [record("WARNING", "x"), false],
      ["  indented", false],
      ["Traceback (most recent call last):", false],
      ["  File", false],
      ["ValueError: x", false],
      ["printed", true],
      [record("ERROR", "y"), true],
      ["Traceback (most recent call last):", true],
      ["ValueError: y", true],
    ] as const;
    expect(lines.map(([line]) => wanted(Buffer.from(line)))).toEqual(lines.map(([, shown]) => shown));
  });

  test("take the tracebacks of exceptions that led to others with them, and no line that follows", () => {
    const wanted = logFilter("error");
    const traceback = ["Traceback (most recent call last):", "  File", "    await read()", "StreamClosedError: x"];
    const links = [
      "The above exception was the direct cause of the following exception:",
      "During handling of the above exception, another exception occurred:",
    ];
    const chain = [record("WARNING", "x"), ...traceback, ...links.flatMap((link) => ["", link, "", ...traceback])];
    expect(chain.map((line) => wanted(Buffer.from(line)))).toEqual(chain.map(() => false));
    expect(["  printed with an indent", "", "printed"].map((line) => wanted(Buffer.from(line)))).toEqual([
      true,
      true,
      true,
    ]);
  });

  test("in the middle of somebody's sentence are no log lines", () => {
    expect(logFilter("error")(Buffer.from("my table: a - INFO - b"))).toBe(true);
  });
});
