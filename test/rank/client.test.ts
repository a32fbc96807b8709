import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { procStat } from "../../src/launcher/proc-stat.ts";
import type { RankEvent } from "../../src/protocol/messages.ts";
import { runClient } from "../../src/rank/client.ts";

vi.mock("../../src/rank/child.ts", async (original) => ({
  ...(await original<object>()),
  // A process in an uninterruptible wait, as on a file system that hangs: no signal ends it.
  killPid: () => true,
}));

const isAlive = (pid: number): boolean => procStat(pid) !== undefined;

test("a script that not even SIGKILL ends does not hold the launch", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tsdask-client-"));
  const told: RankEvent[] = [];
  const run = await runClient({
    start: { file: "/bin/sleep", python: "/usr/bin/python3", args: ["100"], env: {} } as never,
    env: { PATH: "/usr/bin:/bin" },
    cwd: folder,
    address: "127.0.0.1",
    watchdogSocket: join(folder, "none.sock"),
    pythonRoot: folder,
    report: (event) => void told.push(event),
  });
  await expect.poll(() => told).toHaveLength(1);
  const pid = (told[0] as Extract<RankEvent, { k: "client-started" }>).pid;
  try {
    await run.end(0);
    const exit = { k: "client-exit", code: 137, signal: "SIGKILL" };
    expect(told.slice(1)).toEqual([exit]);
    // It ends after all, and the rank has not left yet.
    process.kill(pid, "SIGKILL");
    await run.end(0);
    expect(told.slice(1)).toEqual([exit]);
  } finally {
    if (isAlive(pid)) process.kill(pid, "SIGKILL");
    rmSync(folder, { recursive: true });
  }
});
