import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ClientStart, RankEvent } from "../../src/protocol/messages.ts";
import { prepareJupyter } from "../../src/rank/jupyter.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsdask-jupyter-"));
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

/**
 * What a rank reports of a Jupyter that never says where it listens, within this time (ms); `over` says after how many
 * looks it has ended.
 */
async function reported(time: number, over: number): Promise<readonly RankEvent[]> {
  const reports: RankEvent[] = [];
  const start = {
    file: "python",
    args: ["jupyterlab"],
    jupyter: { loopback: true, patience: 600 },
  } as unknown as ClientStart;
  const report = (event: RankEvent): void => void reports.push(event);
  const place = { address: "127.0.0.1", folder, pythonRoot: "/p", cwd: folder };
  const { announce } = await prepareJupyter({ start, env: {}, report, ...place });
  let looks = 0;
  const announced = announce(1, () => (looks += 1) > over);
  await vi.advanceTimersByTimeAsync(time);
  await announced;
  return reports;
}

test("a Jupyter that is not ready within its time ends the launch with TSD-062", async () => {
  const facts = { host: "127.0.0.1", seconds: 600 };
  expect(await reported(601_000, Infinity)).toEqual([{ k: "failure", code: "TSD-062", facts, exit: 69 }]);
});

test("one that ends before says so itself", async () => {
  expect(await reported(1_000, 2)).toEqual([]);
});
