import { describe, expect, test } from "vitest";
import { verdict, type Testimony } from "../../src/registry/ask.ts";

const silent: Testimony = { process: undefined, scheduler: undefined, job: undefined };

describe("what a cluster is", () => {
  test("its own word at its end is believed", () => {
    expect(verdict({ state: "ended", why: "stopped by SIGTERM" }, { ...silent, scheduler: "answers" })).toEqual({
      state: "ended",
      why: "stopped by SIGTERM",
    });
  });

  test("a scheduler that answers as the one that was written down runs, whatever else is seen", () => {
    expect(verdict({ state: "running" }, { process: false, scheduler: "answers", job: "gone" }).state).toBe("running");
  });

  test("one whose process is gone was killed, and that is written down", () => {
    expect(verdict({ state: "running" }, { ...silent, process: false })).toMatchObject({ state: "ended", lost: true });
    expect(verdict({ state: "starting" }, { ...silent, process: false })).toMatchObject({ state: "ended", lost: true });
  });

  test("one whose process lives is never taken for ended, even when its port refuses", () => {
    expect(verdict({ state: "running" }, { process: true, scheduler: "refused", job: "gone" }).state).toBe("silent");
    expect(verdict({ state: "starting" }, { ...silent, process: true }).state).toBe("starting");
  });

  test("one whose job is suspended is neither silent nor running, on whatever host it is", () => {
    for (const process of [true, undefined])
      for (const scheduler of ["silent", "no way"] as const)
        expect(verdict({ state: "running" }, { process, scheduler, job: "suspended" })).toEqual({ state: "suspended" });
    expect(verdict({ state: "pending" }, { ...silent, job: "suspended" }).state).toBe("suspended");
    expect(verdict({ state: "running" }, { process: false, scheduler: "silent", job: "suspended" }).state).toBe(
      "ended",
    );
  });

  test("what somebody else took for ended and whose process lives is there", () => {
    const lost = { state: "ended", why: "its job is gone without a word" } as const;
    expect(verdict(lost, { ...silent, process: true, scheduler: "answers" })).toEqual({ state: "running" });
    expect(verdict(lost, { ...silent, process: true }).state).toBe("silent");
    expect(verdict(lost, { ...silent, process: false }).state).toBe("ended");
    expect(verdict({ ...lost, code: 0 }, { ...silent, process: true }).state).toBe("ended");
  });

  test("an address that refuses or belongs to another is no proof that a cluster on another host has ended", () => {
    for (const scheduler of ["refused", "another"] as const) {
      const alone = verdict({ state: "running" }, { ...silent, scheduler });
      expect(alone).toMatchObject({ state: "unknown", why: expect.stringContaining("from here") });
      expect(alone.lost).toBeUndefined();
      const inJob = verdict({ state: "running" }, { ...silent, scheduler, job: "running" });
      expect(inJob).toMatchObject({ state: "silent", why: expect.stringMatching(/^its job is running; /) });
      expect(inJob.lost).toBeUndefined();
    }
  });

  test("a cluster on another host is asked by its scheduler's port, then by its job", () => {
    expect(verdict({ state: "running" }, { ...silent, scheduler: "no way", job: "gone" }).state).toBe("ended");
    expect(verdict({ state: "running" }, { ...silent, scheduler: "no way", job: "running" }).state).toBe("silent");
    expect(verdict({ state: "running" }, { ...silent, scheduler: "no way" })).toMatchObject({ state: "unknown" });
    expect(verdict({ state: "running" }, { ...silent, scheduler: "silent" }).state).toBe("unknown");
  });

  test("a job that was submitted waits, starts, or has ended before its cluster was up", () => {
    expect(verdict({ state: "pending" }, { ...silent, job: "pending" }).state).toBe("pending");
    expect(verdict({ state: "pending" }, { ...silent, job: "running" }).state).toBe("starting");
    expect(verdict({ state: "pending" }, { ...silent, job: "gone" })).toMatchObject({ state: "ended", lost: true });
    expect(verdict({ state: "pending" }, silent).state).toBe("pending");
  });
});
