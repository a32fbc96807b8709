import { execFile } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openOut } from "../../src/ui/out.ts";

const fixture = new URL("fixtures/write-out.ts", import.meta.url).pathname;

interface Result {
  readonly code: number | null;
  readonly stdout: { written: number; full: boolean; nonBlocking: boolean };
  readonly seconds: number;
}

/** Runs the fixture from a shell, with `redirect` after it, the way a launcher's odd plumbing looks. */
const run = (redirect: string, lines = 3000): Promise<Result> =>
  new Promise((resolve, reject) => {
    const started = performance.now();
    execFile(
      "bash",
      ["-c", `"$0" "$1" "$2" ${redirect}`, process.execPath, fixture, String(lines)],
      { timeout: 100_000 },
      (error, stdout) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : null;
        if (stdout === "") return reject(error ?? new Error("no output"));
        resolve({
          code,
          stdout: JSON.parse(stdout) as Result["stdout"],
          seconds: (performance.now() - started) / 1000,
        });
      },
    );
  });

test("a reader that reads gets everything, and the script's descriptor stays blocking", async () => {
  const result = await run("2> >(cat >/dev/null)", 100);
  expect(result).toMatchObject({ code: 3, stdout: { written: 100, full: false, nonBlocking: false } });
});

test("a reader that has gone away costs the text, not the process", async () => {
  expect(await run("2> >(exec 0<&-; sleep 0.2)")).toMatchObject({ code: 3 });
});

test("a reader that does not read costs a bounded time and bounded memory", async () => {
  const result = await run("2> >(exec sleep 100 >/dev/null 2>&1); code=$?; kill $!; exit $code");
  expect(result).toMatchObject({ code: 3, stdout: { full: true } });
  expect(result.seconds).toBeLessThan(60);
  expect(result.stdout.written).toBeLessThan(400);
});

test("a full disk and a closed descriptor are survived", async () => {
  expect(await run("2>/dev/full")).toMatchObject({ code: 3 });
  expect(await run("2>&-")).toMatchObject({ code: 3 });
});

test("a file gets everything, in order, beside what others append", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tsdask-out-"));
  try {
    const path = join(folder, "err");
    const fd = openSync(path, "a");
    const child = spawn(process.execPath, [fixture, "500"], { stdio: ["ignore", "ignore", fd] });
    const code = await new Promise((resolve) => child.once("exit", resolve));
    closeSync(fd);
    expect(code).toBe(3);
    expect(readFileSync(path, "utf8")).toBe(`${"x".repeat(999)}\n`.repeat(500));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("without a terminal nothing is kept below the text", () => {
  expect(openOut(2).tty).toBe(false);
  expect(() => openOut(2).overlay("a bar")).not.toThrow();
});

test("what is kept below the text on a terminal leaves when the script takes it", () => {
  const out = openOut(2);
  out.asTerminal();
  expect(out.tty).toBe(true);
  out.release();
  out.asTerminal();
  expect(out.tty).toBe(false);
});
