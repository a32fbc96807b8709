import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { workerJobs } from "../../src/batch/job-list-path.ts";
import { writeJobList } from "../../src/batch/job-list.ts";
import { markOf } from "../../src/batch/mark.ts";
import { takeClusterFolder } from "../../src/cluster/folder.ts";
import { endHooks } from "../../src/cluster/launch-end.ts";
import type { EndOfLaunch } from "../../src/cluster/state.ts";
import { Failure } from "../../src/errors/failure.ts";

let place: string;
beforeEach(() => void (place = mkdtempSync(join(tmpdir(), "tsdask-end-"))));
afterEach(() => rmSync(place, { recursive: true }));

const facts: EndOfLaunch = {
  code: 3,
  workers: 1,
  restarts: 0,
  telling: [],
  schedulerTells: false,
  inHaste: false,
  hostsToCome: false,
};

/** The end of a launch whose folder is `<place>/.tsdask-…`, with what it did. */
async function endIn(changes: Readonly<Record<string, unknown>>) {
  const folder = join(place, ".tsdask-0123456789abcdef");
  await takeClusterFolder(folder, "h", () => Promise.resolve());
  const env: NodeJS.ProcessEnv = { ...process.env };
  const done = {
    takeBack: vi.fn(() => Promise.resolve()),
    summary: vi.fn(() => Promise.resolve()),
    report: vi.fn(() => Promise.resolve()),
    ended: vi.fn(() => Promise.resolve()),
    keep: vi.fn(() => Promise.resolve()),
    said: vi.fn<(text: string) => void>(),
    failed: vi.fn<(report: { readonly code: string }) => void>(),
    ...changes,
  };
  const hooks = endHooks({
    context: {
      folder,
      options: { grace: 1 },
      env,
      started: 0,
      forkServer: Promise.resolve({ disown: () => undefined }),
      finished: () => undefined,
    },
    output: {
      say: done.said,
      log: { keep: done.keep, close: () => undefined },
      logIsOurs: true,
      failures: { add: done.failed, flush: () => undefined },
    },
    publication: { takeBack: done.takeBack, replaced: () => undefined },
    register: { ended: done.ended },
    report: { end: done.report },
    usage: { whenTold: () => Promise.resolve({ workers: 1, restarts: 0 }) },
    session: {},
    summary: { end: done.summary },
    stopWatching: () => undefined,
  } as never);
  const listed = vi.fn<() => void>();
  return {
    ...done,
    env,
    folder,
    listed,
    end: () => hooks.onEnd({ kind: "script", name: "s.py", code: 3 }, facts, listed),
  };
}

test.each(["takeBack", "summary", "report", "ended", "keep"])(
  "the end goes on where one step of it fails, and tells of it once: %s",
  async (failing) => {
    const refused = new Failure("TSD-072", { path: "/w/scheduler.json", problem: "EROFS", cause: "c", cure: "d" });
    const launch = await endIn({ [failing]: vi.fn(() => Promise.reject(refused)) });
    await launch.end();
    for (const step of ["takeBack", "summary", "report", "ended", "keep"] as const)
      expect(launch[step], step).toHaveBeenCalledOnce();
    expect(existsSync(launch.folder)).toBe(false);
    expect(launch.failed.mock.calls.map(([{ code }]) => code)).toEqual([failing === "summary" ? "TSD-116" : "TSD-072"]);
  },
);

test("listed jobs are told of and cancelled from the first moment on, all lists at once, and the folder goes after them", async () => {
  const told = Promise.withResolvers<void>();
  const launch = await endIn({ takeBack: () => told.promise });
  const key = "0123456789abcdef0123456789abcdef";
  const entry = { system: "slurm", host: "h", submitted: 1, expected: 1, joined: false } as const;
  for (const [group, id] of [
    [undefined, "12"],
    ["gpu", "13"],
  ] as const)
    await writeJobList(workerJobs(launch.folder, group), { key, jobs: [{ ...entry, id }] });
  // Each waits until the other list is asked for, too.
  const both = `: > ${place}/$$; until [ "$(ls ${place} | wc -l)" -ge 5 ]; do sleep 0.05; done`;
  for (const [name, line] of [
    ["squeue", `${both}; for id in 12 13; do echo "$id|$id|${markOf(key)}"; done`],
    ["scancel", `echo "$@" >> ${place}/cancelled`],
  ])
    writeFileSync(join(place, `${name}`), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  writeFileSync(join(place, "cancelled"), "");
  launch.env["PATH"] = `${place}:/usr/bin:/bin`;
  const ended = launch.end();
  const cancelled = (): string[] => readFileSync(join(place, "cancelled"), "utf8").trim().split("\n").toSorted();
  await expect.poll(cancelled, { timeout: 20_000 }).toEqual(["12", "13"]);
  expect(launch.listed).toHaveBeenCalledOnce();
  expect(existsSync(launch.folder)).toBe(true);
  told.resolve();
  await ended;
  expect(existsSync(launch.folder)).toBe(false);
  expect(launch.said.mock.calls.join()).not.toContain("could not");
});
