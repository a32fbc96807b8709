import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { workerProgress } from "../../src/ui/progress.ts";
import { memoryOut } from "./memory-out.ts";

// The faked time goes on while a bar is waited for, which is not to be while this is loaded.
beforeAll(() => import("cli-progress"), 60_000);
beforeEach(
  () => void vi.useFakeTimers({ now: 0, toFake: ["setInterval", "clearInterval", "setTimeout", "performance"] }),
);
afterEach(() => void vi.useRealTimers());

const watch = (tty = false) => {
  const out = memoryOut(tty);
  return { out, progress: workerProgress({ out, started: 0, now: () => performance.now(), behind: () => false }) };
};

describe("in a file", () => {
  test("a slow start shows the first worker, each quarter and the last", () => {
    const { out, progress } = watch();
    for (let registered = 0; registered <= 8; registered += 1) {
      progress.update({ registered, expected: 8 });
      vi.advanceTimersByTime(2_000);
    }
    expect(out.text()).toBe(`\
tsdask-mpi: 1 of 8 workers is in after 2.0 s
tsdask-mpi: 2 of 8 workers are in after 4.0 s
tsdask-mpi: 4 of 8 workers are in after 8.0 s
tsdask-mpi: 6 of 8 workers are in after 12 s
tsdask-mpi: all 8 workers are in after 16 s
`);
  });

  test("a quick start shows little: the first and the last", () => {
    const { out, progress } = watch();
    for (let registered = 1; registered <= 1000; registered += 1) progress.update({ registered, expected: 1000 });
    expect(out.text()).toBe(
      "tsdask-mpi: 1 of 1000 workers is in after 0.0 s\ntsdask-mpi: all 1000 workers are in after 0.0 s\n",
    );
  });

  test("every ten seconds it says who is missing, with a few names", () => {
    const { out, progress } = watch();
    const missing = Array.from({ length: 9 }, (_, index) => `rank ${index} on h1`);
    progress.update({ registered: 0, expected: 9, missing });
    vi.advanceTimersByTime(20_000);
    progress.stop();
    vi.advanceTimersByTime(60_000);
    expect(out.text().split("\n")).toHaveLength(3);
    expect(out.text()).toContain(
      "tsdask-mpi: 0 of 9 workers are in; missing: rank 0 on h1, rank 1 on h1, rank 2 on h1, rank 3 on h1, rank 4 on h1, rank 5 on h1 and 3 more; after 10 s\n",
    );
  });

  test("when all are in, nothing more is said", () => {
    const { out, progress } = watch();
    progress.update({ registered: 1, expected: 1 });
    progress.update({ registered: 0, expected: 1 });
    vi.advanceTimersByTime(60_000);
    expect(out.text()).toBe("tsdask-mpi: the worker is in after 0.0 s\n");
  });
});

describe("on a terminal", () => {
  test("a bar grows, and leaves one line", async () => {
    const { out, progress } = watch(true);
    progress.update({ registered: 0, expected: 4 });
    await vi.waitFor(() => expect(out.overlays()).toHaveLength(1));
    progress.update({ registered: 2, expected: 4 });
    expect(out.overlays().at(-1)).toMatch(/^tsdask-mpi: \[############------------\] 2 of 4 workers are in, 0\.\d s$/);
    progress.update({ registered: 4, expected: 4 });
    expect(out.overlays().at(-1)).toBe(undefined);
    expect(out.text()).toMatch(/^tsdask-mpi: all 4 workers are in after 0\.\d s\n$/);
  });

  test("when the script takes the terminal, lines follow the bar", async () => {
    const { out, progress } = watch(true);
    progress.update({ registered: 0, expected: 4 });
    await vi.waitFor(() => expect(out.overlays()).toHaveLength(1));
    out.release();
    progress.update({ registered: 1, expected: 4 });
    progress.update({ registered: 4, expected: 4 });
    expect(out.text().split("\n")).toHaveLength(3);
    expect(out.overlays().filter((text) => text !== undefined)).toHaveLength(1);
  });

  test("a bar that is stopped in the middle goes away", async () => {
    const { out, progress } = watch(true);
    progress.update({ registered: 1, expected: 4 });
    await vi.waitFor(() => expect(out.overlays()).toHaveLength(1));
    progress.stop();
    progress.update({ registered: 2, expected: 4 });
    expect(out.overlays().at(-1)).toBe(undefined);
    expect(out.text()).toBe("");
  });
});
